// A number that everyone in the room shares, in C without any library.

#include <limits.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

enum { PAGE = 64 * 1024, EVERYONE = 0 };

IMPORT(send_message) void send_message(int recipient, const char *text, unsigned len);

// The linker's: memory is free from its address on.
extern char __heap_base[];

static int value = 0;

// Where the host puts what it hands over: always in the same place, as it brings one thing at a time.
EXPORT(jam_malloc) char *jam_malloc(unsigned size) {
    unsigned room = __builtin_wasm_memory_size(0) * PAGE - (unsigned)__heap_base;
    if (size > room && __builtin_wasm_memory_grow(0, (size - room - 1) / PAGE + 1) == -1) {
        return (char *)-1; // There is no room: the host refuses this one message.
    }
    return __heap_base;
}

EXPORT(jam_free) void jam_free(char *at, unsigned size) {}

EXPORT(initialize) void initialize(const char *room_id, unsigned len) {}

EXPORT(connect) void connect(int client) {}

EXPORT(disconnect) void disconnect(int client) {}

EXPORT(timer) void timer(void) {}

// Whether `text`, which has no 0 at its end, is `word`, which has.
static int is(const char *text, unsigned len, const char *word) {
    while (len && *word && *text == *word) {
        len--, text++, word++;
    }
    return !len && !*word;
}

static void send_value(void) {
    static char text[] = "new value: -2147483648";
    char *end = text + sizeof "new value: " - 1;
    unsigned rest = value, unit = 1;
    if (value < 0) {
        *end++ = '-';
        rest = -rest;
    }
    while (rest / unit >= 10) {
        unit *= 10;
    }
    for (; unit; unit /= 10) {
        *end++ = '0' + rest / unit % 10;
    }
    send_message(EVERYONE, text, end - text);
}

EXPORT(message) void message(int client, const char *text, unsigned len) {
    if (is(text, len, "increment")) {
        value += value < INT_MAX;
    } else if (is(text, len, "decrement")) {
        value -= value > INT_MIN;
    } else {
        return;
    }
    send_value();
}

EXPORT(binary) void binary(int client, const char *bytes, unsigned len) {}
