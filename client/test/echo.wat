;; Sends every text message to everyone in the room.
(module
  (import "env" "send_message" (func $send_message (param i32 i32 i32)))
  (memory (export "memory") 17)
  (func (export "jam_malloc") (param $size i32) (result i32) (i32.const 0))
  (func (export "jam_free") (param $pointer i32) (param $size i32))
  (func (export "initialize") (param $room_id i32) (param $length i32))
  (func (export "connect") (param $client i32))
  (func (export "disconnect") (param $client i32))
  (func (export "timer"))
  (func (export "message") (param $client i32) (param $pointer i32) (param $length i32)
    ;; To everyone.
    (call $send_message (i32.const 0) (local.get $pointer) (local.get $length)))
  (func (export "binary") (param $client i32) (param $pointer i32) (param $length i32)))
