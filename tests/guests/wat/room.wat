;; The room of `tests/tests/compat/conversation.rs`, written by hand.
(module
  ;; A recipient is 0 for everyone, a client's id, or a negated id for everyone except that client.
  (import "env" "send_message" (func $send_message (param $recipient i32) (param $text i32) (param $len i32)))
  (import "env" "send_binary" (func $send_binary (param $recipient i32) (param $bytes i32) (param $len i32)))
  (import "env" "set_timer" (func $set_timer (param $milliseconds i32)))

  ;; The first page is the room's own, the second is for messages.
  (memory (export "memory") 2)
  (data (i32.const 0x00) "increment")
  (data (i32.const 0x10) "later")
  (data (i32.const 0x20) "never")
  (data (i32.const 0x30) "others")
  (data (i32.const 0x40) "psst")
  (data (i32.const 0x50) "time")
  (data (i32.const 0x60) "bye")
  ;; Digits are written from here downwards.
  (global $digits_end i32 (i32.const 0x80))

  (global $value (mut i32) (i32.const 0))

  ;; Where the host is to put a message: always in the same place, as it brings one at a time. The highest
  ;; of all addresses is none, and says that the message is too large.
  (func (export "jam_malloc") (param $size i32) (result i32)
    (select (i32.const 0x10000) (i32.const -1) (i32.le_u (local.get $size) (i32.const 0x10000))))
  (func (export "jam_free") (param $at i32) (param $size i32))

  (func (export "initialize") (param $room_id i32) (param $len i32))

  (func (export "connect") (param $client i32)
    (call $send_value (local.get $client)))

  (func (export "disconnect") (param $client i32)
    (call $send_message (i32.const 0) (i32.const 0x60) (i32.const 3)))

  (func (export "timer")
    (call $send_message (i32.const 0) (i32.const 0x50) (i32.const 4)))

  (func (export "message") (param $client i32) (param $text i32) (param $len i32)
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x00) (i32.const 9)) (then
      (global.set $value (i32.add (global.get $value) (i32.const 1)))
      (call $send_value (i32.const 0))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x10) (i32.const 5)) (then
      (call $set_timer (i32.const 1000))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x20) (i32.const 5)) (then
      (call $set_timer (i32.const 0))
      (return)))
    (if (call $is (local.get $text) (local.get $len) (i32.const 0x30) (i32.const 6)) (then
      (call $send_message (i32.sub (i32.const 0) (local.get $client)) (i32.const 0x40) (i32.const 4))
      (return)))
    (call $send_message (local.get $client) (local.get $text) (local.get $len)))

  (func (export "binary") (param $client i32) (param $bytes i32) (param $len i32)
    (call $send_binary (local.get $client) (local.get $bytes) (local.get $len)))

  (func $send_value (param $recipient i32)
    (local $at i32) (local $rest i32)
    (local.set $at (global.get $digits_end))
    (local.set $rest (global.get $value))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $rest) (i32.const 10))))
      (br_if $next (local.tee $rest (i32.div_u (local.get $rest) (i32.const 10)))))
    (call $send_message
      (local.get $recipient) (local.get $at) (i32.sub (global.get $digits_end) (local.get $at))))

  ;; Whether a text is a word.
  (func $is (param $text i32) (param $len i32) (param $word i32) (param $word_len i32) (result i32)
    (if (i32.ne (local.get $len) (local.get $word_len)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br_if $next (i32.eq
        (i32.load8_u (i32.add (local.get $text) (local.get $len)))
        (i32.load8_u (i32.add (local.get $word) (local.get $len))))))
    (i32.const 0)))
