;; A guest that checks its host, for authors of guests and of hosts.
;;
;; It has all that the interface asks of a guest (docs/reference/abi.md), and checks all that the interface promises to one.
;; What its clients can say:
;;
;;   check      it answers `ok`, or with the first promise that the host has broken
;;   all        it says `all` to everyone
;;   others     it says `others` to everyone else
;;   later      it sets the timer to 10 ms; when it is due, it says `time` to everyone
;;   never      it cancels the timer
;;   empty      it answers with an empty text and an empty binary message
;;
;; Any other text, and everything binary, goes back to its sender. What has more than 64 KiB is refused.
(module
  (import "env" "send_message" (func $send_message (param $recipient i32) (param $text i32) (param $len i32)))
  (import "env" "send_binary" (func $send_binary (param $recipient i32) (param $bytes i32) (param $len i32)))
  (import "env" "set_timer" (func $set_timer (param $milliseconds i32)))

  (memory (export "memory") 2)
  ;; The promises that a host may break, in 64 bytes each, behind their length.
  (data (i32.const 0x000) "\02ok")
  (data (i32.const 0x040) "\24an event before the last one is over")
  (data (i32.const 0x080) "\1aan event before initialize")
  (data (i32.const 0x0c0) "\10initialize twice")
  (data (i32.const 0x100) "\23jam_malloc before the last jam_free")
  (data (i32.const 0x140) "\24data where jam_malloc has not put it")
  (data (i32.const 0x180) "\29jam_free of what jam_malloc has not given")
  (data (i32.const 0x1c0) "\1ba client without a valid id")
  (data (i32.const 0x200) "\1ea client that has come already")
  (data (i32.const 0x240) "\1aa client that is not there")
  (data (i32.const 0x280) "\17a timer that is not set")
  ;; The words.
  (data (i32.const 0x300) "\05check")
  (data (i32.const 0x310) "\03all")
  (data (i32.const 0x320) "\06others")
  (data (i32.const 0x330) "\05later")
  (data (i32.const 0x340) "\05never")
  (data (i32.const 0x350) "\05empty")
  (data (i32.const 0x360) "\04time")
  ;; A byte for each client: 1 while it is there, 2 when it has gone. Those with higher ids nobody watches.
  (global $clients i32 (i32.const 0x400))
  (global $watched i32 (i32.const 0xfc00))
  ;; The second page is for what the host hands over.
  (global $inbox i32 (i32.const 0x10000))

  ;; Which promise has been broken, as the place of its text; 0 for none.
  (global $broken (mut i32) (i32.const 0))
  (global $running (mut i32) (i32.const 0))
  (global $initialized (mut i32) (i32.const 0))
  (global $timer_set (mut i32) (i32.const 0))
  ;; Whether the inbox is in use, and for how many bytes.
  (global $given (mut i32) (i32.const 0))
  (global $size (mut i32) (i32.const 0))

  ;; Exports

  (func (export "jam_malloc") (param $size i32) (result i32)
    (call $promise (i32.eqz (global.get $running)) (i32.const 0x040))
    (call $promise (i32.eqz (global.get $given)) (i32.const 0x100))
    (if (i32.gt_u (local.get $size) (i32.const 0x10000)) (then (return (i32.const -1))))
    (global.set $given (i32.const 1))
    (global.set $size (local.get $size))
    (global.get $inbox))

  (func (export "jam_free") (param $at i32) (param $size i32)
    (call $promise (i32.eqz (global.get $running)) (i32.const 0x040))
    (call $promise (call $is_given (local.get $at) (local.get $size)) (i32.const 0x180))
    (global.set $given (i32.const 0)))

  (func (export "initialize") (param $room_id i32) (param $len i32)
    (call $promise (i32.eqz (global.get $initialized)) (i32.const 0x0c0))
    (global.set $initialized (i32.const 1))
    (call $enter)
    (call $promise (call $is_given (local.get $room_id) (local.get $len)) (i32.const 0x140))
    (call $leave))

  (func (export "connect") (param $client i32)
    (call $enter)
    (call $promise (i32.gt_s (local.get $client) (i32.const 0)) (i32.const 0x1c0))
    (call $promise (i32.eqz (call $state (local.get $client) (i32.const 0))) (i32.const 0x200))
    (call $set_state (local.get $client) (i32.const 1))
    (call $leave))

  (func (export "disconnect") (param $client i32)
    (call $enter)
    (call $promise_there (local.get $client))
    (call $set_state (local.get $client) (i32.const 2))
    (call $leave))

  (func (export "timer")
    (call $enter)
    (call $promise (global.get $timer_set) (i32.const 0x280))
    (global.set $timer_set (i32.const 0))
    (call $say (i32.const 0) (i32.const 0x360))
    (call $leave))

  (func (export "message") (param $client i32) (param $text i32) (param $len i32)
    (call $enter)
    (call $promise_there (local.get $client))
    (call $promise (call $is_given (local.get $text) (local.get $len)) (i32.const 0x140))
    (call $answer (local.get $client) (local.get $text) (local.get $len))
    (call $leave))

  (func (export "binary") (param $client i32) (param $bytes i32) (param $len i32)
    (call $enter)
    (call $promise_there (local.get $client))
    (call $promise (call $is_given (local.get $bytes) (local.get $len)) (i32.const 0x140))
    (call $send_binary (local.get $client) (local.get $bytes) (local.get $len))
    (call $leave))

  ;; What the host promises

  (func $promise (param $kept i32) (param $text i32)
    (if (i32.and (i32.eqz (local.get $kept)) (i32.eqz (global.get $broken)))
      (then (global.set $broken (local.get $text)))))

  ;; An export of an event begins.
  (func $enter
    (call $promise (i32.eqz (global.get $running)) (i32.const 0x040))
    (call $promise (global.get $initialized) (i32.const 0x080))
    (global.set $running (i32.const 1)))

  (func $leave
    (global.set $running (i32.const 0)))

  (func $is_given (param $at i32) (param $size i32) (result i32)
    (i32.and (global.get $given) (i32.and
      (i32.eq (local.get $at) (global.get $inbox))
      (i32.eq (local.get $size) (global.get $size)))))

  (func $promise_there (param $client i32)
    (call $promise
      (i32.eq (call $state (local.get $client) (i32.const 1)) (i32.const 1)) (i32.const 0x240)))

  ;; The state of a client; `otherwise` of those that nobody watches.
  (func $state (param $client i32) (param $otherwise i32) (result i32)
    (if (i32.ge_u (local.get $client) (global.get $watched)) (then (return (local.get $otherwise))))
    (i32.load8_u (i32.add (global.get $clients) (local.get $client))))

  (func $set_state (param $client i32) (param $state i32)
    (if (i32.ge_u (local.get $client) (global.get $watched)) (then (return)))
    (i32.store8 (i32.add (global.get $clients) (local.get $client)) (local.get $state)))

  ;; What the clients may say

  (func $answer (param $client i32) (param $text i32) (param $len i32)
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x300)) (then
      (call $say (local.get $client) (global.get $broken))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x310)) (then
      (call $say (i32.const 0) (i32.const 0x310))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x320)) (then
      (call $say (i32.sub (i32.const 0) (local.get $client)) (i32.const 0x320))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x330)) (then
      (global.set $timer_set (i32.const 1))
      (call $set_timer (i32.const 10))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x340)) (then
      (global.set $timer_set (i32.const 0))
      (call $set_timer (i32.const 0))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x350)) (then
      (call $send_message (local.get $client) (local.get $text) (i32.const 0))
      (call $send_binary (local.get $client) (local.get $text) (i32.const 0))
      (return)))
    (call $send_message (local.get $client) (local.get $text) (local.get $len)))

  ;; Sends a text that stands behind its length.
  (func $say (param $recipient i32) (param $text i32)
    (call $send_message (local.get $recipient)
      (i32.add (local.get $text) (i32.const 1)) (i32.load8_u (local.get $text))))

  ;; Whether a text is a word that stands behind its length.
  (func $is (param $text i32) (param $len i32) (param $word i32) (result i32)
    (if (i32.ne (local.get $len) (i32.load8_u (local.get $word))) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br_if $next (i32.eq
        (i32.load8_u (i32.add (local.get $text) (local.get $len)))
        (i32.load8_u offset=1 (i32.add (local.get $word) (local.get $len))))))
    (i32.const 0)))
