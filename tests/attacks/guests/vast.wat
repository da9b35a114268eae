;; A memory of 32 MiB, all that a room may have. Messages come back.
(module
  (import "env" "send_message" (func $send (param i32 i32 i32)))
  (memory (export "memory") 512)
  (func (export "jam_malloc") (param $size i32) (result i32)
    (select (i32.const -1) (i32.const 65536) (i32.gt_u (local.get $size) (i32.const 65536))))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "connect") (param i32))
  (func (export "disconnect") (param i32))
  (func (export "timer"))
  (func (export "message") (param $client i32) (param $at i32) (param $len i32)
    (call $send (local.get $client) (local.get $at) (local.get $len)))
  (func (export "binary") (param i32 i32 i32)))
