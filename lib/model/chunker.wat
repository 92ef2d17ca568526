;; FastCDC with a 32-bit gear, the loop of lib/model/chunker.ts in WebAssembly. Built into lib/model/chunker-wasm.ts.
;; Memory: gear table (256 × u32, little endian) at 0, data from 64 KiB on. The sizes and masks are those of chunker.ts.
(module
  (memory (export "memory") 17)
  (global $hash (export "hash") (mut i32) (i32.const 0))
  ;; Looks for the next cut in the bytes p..end of a chunk of which `length` bytes came before p, their hash in $hash.
  ;; Returns the address behind the cut, or 0 if there is none before end ($hash then holds the state to go on with).
  (func (export "scan") (param $p i32) (param $end i32) (param $length i32) (result i32)
    (local $h i32) (local $stop i32) (local $left i32)
    (local.set $h (global.get $hash))
    ;; Up to the minimum nothing is looked at.
    (if (i32.lt_u (local.get $length) (i32.const 8192)) (then
      (local.set $left (i32.sub (i32.const 8192) (local.get $length)))
      (if (i32.ge_u (local.get $left) (i32.sub (local.get $end) (local.get $p))) (then (return (i32.const 0))))
      (local.set $p (i32.add (local.get $p) (local.get $left)))
      (local.set $length (i32.const 8192))
      (local.set $h (i32.const 0))))
    ;; Up to the normal size: the strict mask.
    (if (i32.lt_u (local.get $length) (i32.const 32768)) (then
      (local.set $left (i32.sub (i32.const 32768) (local.get $length)))
      (if (i32.gt_u (local.get $left) (i32.sub (local.get $end) (local.get $p)))
        (then (local.set $left (i32.sub (local.get $end) (local.get $p)))))
      (local.set $stop (i32.add (local.get $p) (local.get $left)))
      (local.set $length (i32.add (local.get $length) (local.get $left)))
      (block $out (loop $next
        (br_if $out (i32.ge_u (local.get $p) (local.get $stop)))
        (local.set $h (i32.add (i32.shl (local.get $h) (i32.const 1))
          (i32.load (i32.shl (i32.load8_u (local.get $p)) (i32.const 2)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (if (i32.eqz (i32.and (local.get $h) (i32.const 0xffff8000))) (then (return (local.get $p))))
        (br $next)))))
    ;; Up to the maximum: the loose mask.
    (local.set $left (i32.sub (i32.const 131072) (local.get $length)))
    (if (i32.gt_u (local.get $left) (i32.sub (local.get $end) (local.get $p)))
      (then (local.set $left (i32.sub (local.get $end) (local.get $p)))))
    (local.set $stop (i32.add (local.get $p) (local.get $left)))
    (local.set $length (i32.add (local.get $length) (local.get $left)))
    (block $out (loop $next
      (br_if $out (i32.ge_u (local.get $p) (local.get $stop)))
      (local.set $h (i32.add (i32.shl (local.get $h) (i32.const 1))
        (i32.load (i32.shl (i32.load8_u (local.get $p)) (i32.const 2)))))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (if (i32.eqz (i32.and (local.get $h) (i32.const 0xfff80000))) (then (return (local.get $p))))
      (br $next)))
    (if (i32.eq (local.get $length) (i32.const 131072)) (then (return (local.get $p))))
    (global.set $hash (local.get $h))
    (i32.const 0)))
