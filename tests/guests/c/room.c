// The room of `tests/tests/compat/conversation.rs` in C, without any library.

typedef unsigned char byte;
typedef unsigned int u32;

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

// A recipient is 0 for everyone, a client's id, or a negated id for everyone except that client.
IMPORT(send_message) void send_message(int recipient, const char *text, u32 len);
IMPORT(send_binary) void send_binary(int recipient, const byte *bytes, u32 len);
IMPORT(set_timer) void set_timer(u32 milliseconds);

enum { EVERYONE = 0 };

static u32 value;

static void send_value(int recipient) {
    char digits[10];
    u32 at = sizeof digits, rest = value;
    do {
        digits[--at] = '0' + rest % 10;
    } while (rest /= 10);
    send_message(recipient, digits + at, sizeof digits - at);
}

// Whether `text`, which has no 0 at its end, is `word`, which has.
static int is(const char *text, u32 len, const char *word) {
    while (len && *word && *text == *word) {
        len--, text++, word++;
    }
    return !len && !*word;
}

// One message at a time has to fit: the host takes it back before it brings the next.
static byte inbox[64 * 1024];

EXPORT(jam_malloc) byte *jam_malloc(u32 size) {
    return size <= sizeof inbox ? inbox : (byte *)-1;
}

EXPORT(jam_free) void jam_free(byte *at, u32 size) {}

EXPORT(initialize) void initialize(const char *room_id, u32 len) {}

EXPORT(connect) void connect(int client) {
    send_value(client);
}

EXPORT(disconnect) void disconnect(int client) {
    send_message(EVERYONE, "bye", 3);
}

EXPORT(timer) void timer(void) {
    send_message(EVERYONE, "time", 4);
}

EXPORT(message) void message(int client, const char *text, u32 len) {
    if (is(text, len, "increment")) {
        value++;
        send_value(EVERYONE);
    } else if (is(text, len, "later")) {
        set_timer(1000);
    } else if (is(text, len, "never")) {
        set_timer(0);
    } else if (is(text, len, "others")) {
        send_message(-client, "psst", 4);
    } else {
        send_message(client, text, len);
    }
}

EXPORT(binary) void binary(int client, const byte *bytes, u32 len) {
    send_binary(client, bytes, len);
}
