;; What a training step does to flat float32 arrays. All start on a 16-byte boundary; counts are multiples of 8.
(module
  (import "host" "memory" (memory 1))

  ;; Sum of squares in float64. Not finite when any value is not, so it doubles as the check for NaN and infinity.
  (func (export "sumOfSquares") (param $at i32) (param $count i32) (result f64)
    (local $end i32) (local $x v128) (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        ;; four sums, since an addition must wait for the one before it
        (local.set $x (f64x2.promote_low_f32x4 (v128.load64_zero (local.get $at))))
        (local.set $sum0 (f64x2.add (local.get $sum0) (f64x2.mul (local.get $x) (local.get $x))))
        (local.set $x (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 (local.get $at))))
        (local.set $sum1 (f64x2.add (local.get $sum1) (f64x2.mul (local.get $x) (local.get $x))))
        (local.set $x (f64x2.promote_low_f32x4 (v128.load64_zero offset=16 (local.get $at))))
        (local.set $sum2 (f64x2.add (local.get $sum2) (f64x2.mul (local.get $x) (local.get $x))))
        (local.set $x (f64x2.promote_low_f32x4 (v128.load64_zero offset=24 (local.get $at))))
        (local.set $sum3 (f64x2.add (local.get $sum3) (f64x2.mul (local.get $x) (local.get $x))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $next)))
    (local.set $x (f64x2.add
      (f64x2.add (local.get $sum0) (local.get $sum1)) (f64x2.add (local.get $sum2) (local.get $sum3))))
    (f64.add (f64x2.extract_lane 0 (local.get $x)) (f64x2.extract_lane 1 (local.get $x))))

  ;; Adam (https://arxiv.org/abs/1412.6980) in place, with decoupled weight decay (https://arxiv.org/abs/1711.05101):
  ;;   g = scale·g    m += fresh1·(g - m)    v = keep2·v + fresh2·g²    p = decay·p - rate·m / (√v + epsilon)
  ;; The caller folds both bias corrections into rate and epsilon.
  (func (export "adam")
    (param $p i32) (param $m i32) (param $v i32) (param $g i32) (param $count i32)
    (param $rate f32) (param $epsilon f32) (param $fresh1 f32) (param $keep2 f32) (param $fresh2 f32)
    (param $decay f32) (param $scale f32)
    (local $end i32) (local $gradient v128) (local $first v128) (local $second v128)
    (local $rates v128) (local $epsilons v128) (local $fresh1s v128) (local $keep2s v128) (local $fresh2s v128)
    (local $decays v128) (local $scales v128)
    (local.set $rates (f32x4.splat (local.get $rate)))
    (local.set $epsilons (f32x4.splat (local.get $epsilon)))
    (local.set $fresh1s (f32x4.splat (local.get $fresh1)))
    (local.set $keep2s (f32x4.splat (local.get $keep2)))
    (local.set $fresh2s (f32x4.splat (local.get $fresh2)))
    (local.set $decays (f32x4.splat (local.get $decay)))
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $end (i32.add (local.get $p) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $gradient (f32x4.mul (v128.load (local.get $g)) (local.get $scales)))
        (local.set $first (v128.load (local.get $m)))
        (local.set $first (f32x4.add (local.get $first)
          (f32x4.mul (local.get $fresh1s) (f32x4.sub (local.get $gradient) (local.get $first)))))
        (v128.store (local.get $m) (local.get $first))
        (local.set $second (f32x4.add
          (f32x4.mul (local.get $keep2s) (v128.load (local.get $v)))
          (f32x4.mul (f32x4.mul (local.get $fresh2s) (local.get $gradient)) (local.get $gradient))))
        (v128.store (local.get $v) (local.get $second))
        (v128.store (local.get $p) (f32x4.sub
          (f32x4.mul (local.get $decays) (v128.load (local.get $p)))
          (f32x4.div
            (f32x4.mul (local.get $rates) (local.get $first))
            (f32x4.add (f32x4.sqrt (local.get $second)) (local.get $epsilons)))))
        (local.set $p (i32.add (local.get $p) (i32.const 16)))
        (local.set $m (i32.add (local.get $m) (i32.const 16)))
        (local.set $v (i32.add (local.get $v) (i32.const 16)))
        (local.set $g (i32.add (local.get $g) (i32.const 16)))
        (br $next))))

  ;; Uniform draws in [0, 1): four independent xoshiro128+ streams, one per lane (https://prng.di.unimi.it).
  ;; The state is four vectors at $state and moves on.
  (func (export "uniform") (param $state i32) (param $at i32) (param $count i32)
    (local $end i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $shifted v128)
    (local.set $a (v128.load (local.get $state)))
    (local.set $b (v128.load offset=16 (local.get $state)))
    (local.set $c (v128.load offset=32 (local.get $state)))
    (local.set $d (v128.load offset=48 (local.get $state)))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        ;; the upper 24 bits, times 2^-24
        (v128.store (local.get $at) (f32x4.mul
          (f32x4.convert_i32x4_u (i32x4.shr_u (i32x4.add (local.get $a) (local.get $d)) (i32.const 8)))
          (f32x4.splat (f32.const 0x1p-24))))
        (local.set $shifted (i32x4.shl (local.get $b) (i32.const 9)))
        (local.set $c (v128.xor (local.get $c) (local.get $a)))
        (local.set $d (v128.xor (local.get $d) (local.get $b)))
        (local.set $b (v128.xor (local.get $b) (local.get $c)))
        (local.set $a (v128.xor (local.get $a) (local.get $d)))
        (local.set $c (v128.xor (local.get $c) (local.get $shifted)))
        (local.set $d (v128.or (i32x4.shl (local.get $d) (i32.const 11)) (i32x4.shr_u (local.get $d) (i32.const 21))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (v128.store (local.get $state) (local.get $a))
    (v128.store offset=16 (local.get $state) (local.get $b))
    (v128.store offset=32 (local.get $state) (local.get $c))
    (v128.store offset=48 (local.get $state) (local.get $d)))

  ;; What dropout multiplies by: `value` with the probability $below / 65536, else 0. The same four streams, scrambled as
  ;; xoshiro128++ does, whose lower bits are as good as the upper ones: each word decides on two elements.
  (func (export "keep") (param $state i32) (param $at i32) (param $count i32) (param $below i32) (param $value f32)
    (local $end i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $word v128)
    (local $belows v128) (local $values v128)
    (local.set $a (v128.load (local.get $state)))
    (local.set $b (v128.load offset=16 (local.get $state)))
    (local.set $c (v128.load offset=32 (local.get $state)))
    (local.set $d (v128.load offset=48 (local.get $state)))
    (local.set $belows (i32x4.splat (local.get $below)))
    (local.set $values (f32x4.splat (local.get $value)))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $word (i32x4.add (local.get $a) (local.get $d)))
        (local.set $word (i32x4.add (local.get $a)
          (v128.or (i32x4.shl (local.get $word) (i32.const 7)) (i32x4.shr_u (local.get $word) (i32.const 25)))))
        (v128.store (local.get $at) (v128.and (local.get $values)
          (i32x4.lt_u (i32x4.shr_u (local.get $word) (i32.const 16)) (local.get $belows))))
        (v128.store offset=16 (local.get $at) (v128.and (local.get $values)
          (i32x4.lt_u (v128.and (local.get $word) (i32x4.splat (i32.const 0xffff))) (local.get $belows))))
        (local.set $word (i32x4.shl (local.get $b) (i32.const 9)))
        (local.set $c (v128.xor (local.get $c) (local.get $a)))
        (local.set $d (v128.xor (local.get $d) (local.get $b)))
        (local.set $b (v128.xor (local.get $b) (local.get $c)))
        (local.set $a (v128.xor (local.get $a) (local.get $d)))
        (local.set $c (v128.xor (local.get $c) (local.get $word)))
        (local.set $d (v128.or (i32x4.shl (local.get $d) (i32.const 11)) (i32x4.shr_u (local.get $d) (i32.const 21))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $next)))
    (v128.store (local.get $state) (local.get $a))
    (v128.store offset=16 (local.get $state) (local.get $b))
    (v128.store offset=32 (local.get $state) (local.get $c))
    (v128.store offset=48 (local.get $state) (local.get $d))))
