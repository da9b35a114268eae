;; Little memory that grows with the messages, as that of a guest without an allocator does, and stays that large.
(module
  (import "env" "send_message" (func $send (param i32 i32 i32)))
  (memory (export "memory") 3000 (pagesize 1))
  (func (export "jam_malloc") (param $size i32) (result i32)
    (local $need i32)
    (local.set $need (i32.add (local.get $size) (i32.const 2048)))
    (if (i32.gt_u (local.get $need) (memory.size))
      (then
        (if (i32.eq (memory.grow (i32.sub (local.get $need) (memory.size))) (i32.const -1))
          (then (return (i32.const -1))))))
    (i32.const 2048))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "connect") (param i32))
  (func (export "disconnect") (param i32))
  (func (export "timer"))
  ;; `e…` comes back, `k…` is kept, everything else goes to everyone.
  (func (export "message") (param $client i32) (param $at i32) (param $len i32)
    (local $first i32)
    (if (local.get $len) (then (local.set $first (i32.load8_u (local.get $at)))))
    (if (i32.eq (local.get $first) (i32.const 107)) (then (return)))
    (call $send
      (select (local.get $client) (i32.const 0) (i32.eq (local.get $first) (i32.const 101)))
      (local.get $at) (local.get $len)))
  (func (export "binary") (param i32 i32 i32)))
