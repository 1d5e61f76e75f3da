#!/usr/bin/env bash
# Runs cases of every kernel family, for both classes of device, in oclgrind: a simulator that finds
# accesses out of bounds, data races and misuse of the interface. It is a hundred to a thousand times
# slower than a device, so the cases are few and small, with sizes on both sides of tile edges.
#
# Usage: Scripts/oclgrind.sh [case or part of one]...     (default: the list below, both classes)
set -euo pipefail
cd "$(dirname "$0")/.."
keel=${KEEL:-.build/release/keel}

cases=(
  pointwise/add pointwise/formula_six_inputs pointwise/formula_bytes pointwise/broadcast_row
  pointwise/broadcast_column pointwise/broadcast_rank4_mixed pointwise/size_17 pointwise/gelu
  bias_activation/relu bias_activation/relu_rows17_columns1000 bias_activation/relu_one_column
  convert/to_float16_numbers convert/to_bfloat16_numbers convert/to_float16_one
  reduction/sum_all_axes reduction/sum_middle_axis reduction/max_first_axis
  reduction/sum_alternating reduction/sum_rows513_columns129 reduction/sum_count1025
  reduction/variance_last_axis
  argmax/last_axis argmax/first_axis argmax/middle_axis
  fill/float32 fill/uint8_one fill/int32
  strided_copy/transpose_matrix_odd strided_copy/transpose_images strided_copy/transpose_rank8
  strided_copy/slice_steps strided_copy/pad_images strided_copy/direct_uint8
  strided_copy/concatenate_channels strided_copy/concatenate_pieces
  gather/rows_repeated gather/middle_axis gather/outside_gives_zero
  one_hot/ten_classes one_hot/outside_gives_zeros
  matmul/nn_33x17x65 matmul/tn_33x17x65 matmul/nt_33x17x65 matmul/nn_8x16x32
  matmul/nn_129x33x1 matmul/batch_both_tiles matmul/batch_left_shared
  matmul/dense_gelu matmul/direct_bias_relu
  convolution2d/kernel1x1 convolution2d/kernel3x3_relu convolution2d/stride2_same
  convolution2d/padding_wide convolution2d/groups2
  convolution2d/depthwise_stride2 convolution2d/channels1_1 convolution2d/channels16_31
  convolution2d/image2x3_kernel5x5 convolution2d/channels20_8_parts
  convolution2d/channels20_6_padding
  pooling2d/maximum_2x2_odd pooling2d/average_3x3_overlapping pooling2d/maximum_3x3_stride2_same
  pooling2d/winners pooling2d/global_average
  lstm/states_3x4x5_units20 lstm/states_1x4x2_units5 lstm/gradient_3x4_units20
  lstm/gradient_1x4_units5 lstm/sequence_3x5x4_units7
  gru/states_3x4x5_units20 gru/gradient_3x4_units20 gru/sequence_3x5x4_units7
  batch_normalization/training_relu batch_normalization/training_channels257
  batch_normalization/inference_relu batch_normalization/gradient_relu
  batch_normalization/training_adding_elu_channels36
  batch_normalization/gradient_tanh batch_normalization/gradient_in_place
  layer_normalization/rows7_columns33 layer_normalization/columns1000
  softmax/rows7_columns33 softmax/log_rows33_columns10 softmax/columns1000
  softmax_cross_entropy/per_example_smoothing softmax_cross_entropy/mean_smoothing
  softmax_cross_entropy/gradient softmax_cross_entropy/right_ties
  softmax_cross_entropy/right_columns33 softmax_cross_entropy/right_columns96
  random/bits_3 random/bits_1027 random/uniform dropout/rate_half dropout/one_element
  gradient_telescope/count4097 gradient_telescope/tensors3 gradient_telescope/everything
  step_control/applied step_control/applied_with_right_answers
  step_control/skipped_too_often
  gradient_clip/auto_clip gradient_clip/z_clip gradient_clip/ada_gc
  gradient_clip/per_tensor_norm_huge
  gradient_clip/scale_special gradient_clip/elements_odd gradient_clip/repair_odd
  optimizer_step/momentum_clipped optimizer_step/adamw_scales optimizer_step/adam_one_block
  optimizer_step/mirror_power3 optimizer_step/mirror_optimistic_hypentropy
  gradient_noise/uniform gradient_noise/uniform_frozen gradient_noise/added
  regularization/elastic_net regularization/proximal
  unit_norm/clip_rows33_columns17 unit_norm/clip_one_column unit_norm/maximum_rows9_columns5
  unit_norm/sum_rows33_columns20
  multiply_add_peak/rounds1
)
# Kernels of CPU-class devices alone, at sizes that would take the other class minutes.
cpu_cases=(
  matmul/tn_13x1025x31 matmul/nn_1030x12x33
  convolution2d/channels64_64_winograd convolution2d/channels32_32_winograd_blocks
)
if [ "$#" -gt 0 ]; then cases=("$@") cpu_cases=(); fi

if ! command -v oclgrind >/dev/null 2>&1; then
  echo "oclgrind: not installed; skipped (apt install oclgrind)"
  exit 0
fi
[ -x "$keel" ] || { echo "oclgrind: $keel is not built; run 'make build'" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

arguments=()
for one in "${cases[@]}"; do arguments+=(--case "$one"); done
cpu_arguments=()
for one in "${cpu_cases[@]}"; do cpu_arguments+=(--case "$one"); done
# Both classes, the GPU's with the tiles of two makers, and with the tensor cores' instructions
# played by the work-items.
for class in cpu gpu nvidia amd tensor; do
  status=0
  kernels=("KEEL_DEVICE_CLASS=$class")
  run=("${arguments[@]}")
  if [ "$class" = cpu ]; then run+=("${cpu_arguments[@]}"); fi
  if [ "$class" = tensor ]; then
    kernels=(KEEL_DEVICE_CLASS=gpu KEEL_TENSOR_CORES=played)
    run=(--case matmul/nt_33x17x65 --case convolution2d/kernel3x3_relu)
  fi
  if [ "$class" = nvidia ] || [ "$class" = amd ]; then
    run=(--case matmul/tn_130x70x100 --case convolution2d/channels8_48_stride2)
  fi
  # A cache of its own: what the simulator compiles is of no use to a device. Buffers of exactly the
  # bytes of their arrays: in the pool's size classes an access one element beyond stays inside.
  env "${kernels[@]}" KEEL_CACHE="$scratch/cache" KEEL_EXACT_BUFFERS=1 \
    SWIFT_BACKTRACE=enable=no timeout 900 \
    oclgrind --data-races --check-api --log "$scratch/log" \
    "$keel" parity --device Oclgrind --only-device "${run[@]}" || status=$?
  # The simulator leaves the exit code alone, whatever it finds: what counts is its log.
  if [ -s "$scratch/log" ]; then
    echo "oclgrind: errors in kernels for devices of class $class" >&2
    head -n 60 "$scratch/log" >&2
    exit 1
  fi
  if [ "$status" -ne 0 ]; then
    echo "oclgrind: keel parity ended with $status (124: too slow) for class $class" >&2
    exit 1
  fi
done
echo "oclgrind: no access out of bounds, no data race, no misuse of the interface"
