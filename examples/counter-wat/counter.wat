;; A number that everyone in the room shares, in WebAssembly's text format.
(module
  (import "env" "send_message" (func $send_message (param $recipient i32) (param $text i32) (param $len i32)))

  ;; A page is a byte, so that a room has no more memory than it uses.
  (memory (export "memory") 64 (pagesize 1))
  (data (i32.const 0) "increment")
  (data (i32.const 16) "decrement")
  (data (i32.const 32) "new value: -2147483648")
  (global $digits i32 (i32.const 43)) ;; behind "new value: "
  (global $inbox i32 (i32.const 64))

  (global $value (mut i32) (i32.const 0))

  ;; Where the host puts what it hands over: always in the same place, as it brings one thing at a time. The
  ;; highest of all addresses says that there is no space for it.
  (func (export "jam_malloc") (param $size i32) (result i32)
    (local $room i32)
    (local.set $room (i32.sub (memory.size) (global.get $inbox)))
    (if (i32.gt_u (local.get $size) (local.get $room)) (then
      (if (i32.eq (memory.grow (i32.sub (local.get $size) (local.get $room))) (i32.const -1))
        (then (return (i32.const -1))))))
    (global.get $inbox))
  (func (export "jam_free") (param $at i32) (param $size i32))

  (func (export "initialize") (param $room_id i32) (param $len i32))
  (func (export "connect") (param $client i32))
  (func (export "disconnect") (param $client i32))
  (func (export "timer"))

  (func (export "message") (param $client i32) (param $text i32) (param $len i32)
    (if (i32.ne (local.get $len) (i32.const 9)) (then (return)))
    (if (call $is (local.get $text) (i32.const 0))
      (then (global.set $value (i32.add (global.get $value)
        (i32.ne (global.get $value) (i32.const 0x7fffffff)))))
      (else (if (call $is (local.get $text) (i32.const 16))
        (then (global.set $value (i32.sub (global.get $value)
          (i32.ne (global.get $value) (i32.const 0x80000000)))))
        (else (return)))))
    (call $send_value))

  (func (export "binary") (param $client i32) (param $bytes i32) (param $len i32))

  ;; Whether a text of nine bytes is this word of nine bytes.
  (func $is (param $text i32) (param $word i32) (result i32)
    (i32.and
      (i64.eq (i64.load (local.get $text)) (i64.load (local.get $word)))
      (i32.eq (i32.load8_u offset=8 (local.get $text)) (i32.load8_u offset=8 (local.get $word)))))

  (func $send_value
    (local $end i32) (local $rest i32) (local $unit i32)
    (local.set $end (global.get $digits))
    (local.set $rest (global.get $value))
    (if (i32.lt_s (local.get $rest) (i32.const 0)) (then
      (i32.store8 (local.get $end) (i32.const 45)) ;; a minus sign
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (local.set $rest (i32.sub (i32.const 0) (local.get $rest)))))
    ;; The unit of the first digit: the largest power of ten that is not larger than the number.
    (local.set $unit (i32.const 1))
    (loop $larger
      (if (i32.ge_u (i32.div_u (local.get $rest) (local.get $unit)) (i32.const 10)) (then
        (local.set $unit (i32.mul (local.get $unit) (i32.const 10)))
        (br $larger))))
    (loop $next
      (i32.store8 (local.get $end)
        (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $rest) (local.get $unit)) (i32.const 10))))
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br_if $next (local.tee $unit (i32.div_u (local.get $unit) (i32.const 10)))))
    (call $send_message (i32.const 0) (i32.const 32) (i32.sub (local.get $end) (i32.const 32)))))
