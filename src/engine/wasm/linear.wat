;; One row of an affine map: y = bias + x · W. Everything starts on a 16-byte boundary.
(module
  (import "host" "memory" (memory 1))

  ;; $columns is a multiple of 16. W lies in panels of 16 columns, each [inputs, 16], so that it is read from front to
  ;; back; a panel's 16 sums stay in registers.
  (func (export "affine")
    (param $x i32) (param $inputs i32) (param $w i32) (param $bias i32) (param $y i32) (param $columns i32)
    (local $endX i32) (local $endY i32) (local $at i32) (local $value v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $endX (i32.add (local.get $x) (i32.shl (local.get $inputs) (i32.const 2))))
    (local.set $endY (i32.add (local.get $y) (i32.shl (local.get $columns) (i32.const 2))))
    (block $done
      (loop $panel
        (br_if $done (i32.ge_u (local.get $y) (local.get $endY)))
        (local.set $a (v128.load (local.get $bias)))
        (local.set $b (v128.load offset=16 (local.get $bias)))
        (local.set $c (v128.load offset=32 (local.get $bias)))
        (local.set $d (v128.load offset=48 (local.get $bias)))
        (local.set $at (local.get $x))
        (loop $next
          (local.set $value (v128.load32_splat (local.get $at)))
          (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $value) (v128.load (local.get $w)))))
          (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $value) (v128.load offset=16 (local.get $w)))))
          (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $value) (v128.load offset=32 (local.get $w)))))
          (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $value) (v128.load offset=48 (local.get $w)))))
          (local.set $w (i32.add (local.get $w) (i32.const 64)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (br_if $next (i32.lt_u (local.get $at) (local.get $endX))))
        (v128.store (local.get $y) (local.get $a))
        (v128.store offset=16 (local.get $y) (local.get $b))
        (v128.store offset=32 (local.get $y) (local.get $c))
        (v128.store offset=48 (local.get $y) (local.get $d))
        (local.set $bias (i32.add (local.get $bias) (i32.const 64)))
        (local.set $y (i32.add (local.get $y) (i32.const 64)))
        (br $panel)))))
