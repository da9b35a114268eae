;; Does what the first letter of a message says.
(module
  (import "env" "send_message" (func $send (param i32 i32 i32)))
  (import "env" "set_timer" (func $set_timer (param i32)))
  (import "stateroom" "log" (func $log (param i32 i32 i32)))
  ;; The second page is for what the host hands over.
  (memory (export "memory") 2)
  (data (i32.const 16) "hello from the room")
  ;; The letter that the timer goes on with.
  (global $mode (mut i32) (i32.const 0))

  (func (export "jam_malloc") (param $size i32) (result i32)
    (select (i32.const -1) (i32.const 65536) (i32.gt_u (local.get $size) (i32.const 65536))))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "connect") (param i32))
  (func (export "disconnect") (param i32))
  (func (export "binary") (param i32 i32 i32))

  (func (export "timer")
    (if (i32.eq (global.get $mode) (i32.const 118)) (then (call $many_lines) (call $set_timer (i32.const 1))))
    (if (i32.eq (global.get $mode) (i32.const 86)) (then (call $long_lines) (call $set_timer (i32.const 10)))))

  (func $grow_to (param $pages i32)
    (if (i32.gt_u (local.get $pages) (memory.size))
      (then (drop (memory.grow (i32.sub (local.get $pages) (memory.size)))))))

  ;; 9,990 lines of 19 bytes.
  (func $many_lines (local $i i32)
    (loop $next
      (call $log (i32.const 3) (i32.const 16) (i32.const 19))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 9990)))))

  ;; 3 lines of 1 MB of control characters, each of which is written as several.
  (func $long_lines (local $i i32)
    (call $grow_to (i32.const 20))
    (memory.fill (i32.const 131072) (i32.const 1) (i32.const 1040000))
    (loop $next
      (call $log (i32.const 3) (i32.const 131072) (i32.const 1040000))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 3)))))

  (func (export "message") (param $client i32) (param $at i32) (param $len i32)
    (local $letter i32) (local $i i32)
    (if (i32.eqz (local.get $len)) (then (return)))
    (local.set $letter (i32.load8_u (local.get $at)))
    ;; e: comes back
    (if (i32.eq (local.get $letter) (i32.const 101))
      (then (call $send (local.get $client) (local.get $at) (local.get $len)) (return)))
    ;; g: grows to 32 MiB at once
    (if (i32.eq (local.get $letter) (i32.const 103)) (then (call $grow_to (i32.const 512)) (return)))
    ;; F: fills 30 MB without end
    (if (i32.eq (local.get $letter) (i32.const 70))
      (then
        (call $grow_to (i32.const 512))
        (loop $again (memory.fill (i32.const 131072) (i32.const 7) (i32.const 30000000)) (br $again))))
    ;; C: copies 30 MB without end
    (if (i32.eq (local.get $letter) (i32.const 67))
      (then
        (call $grow_to (i32.const 512))
        (loop $again
          (memory.copy (i32.const 131072) (i32.const 131073) (i32.const 30000000)) (br $again))))
    ;; B: sends 9,999 messages to everyone
    (if (i32.eq (local.get $letter) (i32.const 66))
      (then
        (loop $next
          (call $send (i32.const 0) (i32.const 16) (i32.const 19))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 9999))))
        (return)))
    ;; v, V: logs many lines, or long ones, from now on
    (if (i32.or (i32.eq (local.get $letter) (i32.const 118)) (i32.eq (local.get $letter) (i32.const 86)))
      (then (global.set $mode (local.get $letter)) (call $set_timer (i32.const 1)) (return)))
    ;; X: fails
    (if (i32.eq (local.get $letter) (i32.const 88)) (then (unreachable)))))
