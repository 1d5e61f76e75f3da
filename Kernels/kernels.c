#include "KeelKernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

// One array per program, the text of its file.
#if __has_embed("Programs/prelude.cl")
static const char prelude[] = {
#embed "Programs/prelude.cl"
};
#define HAS_prelude PROGRAM(prelude)
#else
#define HAS_prelude
#endif
#if __has_embed("Programs/pointwise.cl")
static const char pointwise[] = {
#embed "Programs/pointwise.cl"
};
#define HAS_pointwise PROGRAM(pointwise)
#else
#define HAS_pointwise
#endif
#if __has_embed("Programs/bias_activation.cl")
static const char bias_activation[] = {
#embed "Programs/bias_activation.cl"
};
#define HAS_bias_activation PROGRAM(bias_activation)
#else
#define HAS_bias_activation
#endif
#if __has_embed("Programs/reduction.cl")
static const char reduction[] = {
#embed "Programs/reduction.cl"
};
#define HAS_reduction PROGRAM(reduction)
#else
#define HAS_reduction
#endif
#if __has_embed("Programs/argmax.cl")
static const char argmax[] = {
#embed "Programs/argmax.cl"
};
#define HAS_argmax PROGRAM(argmax)
#else
#define HAS_argmax
#endif
#if __has_embed("Programs/fill.cl")
static const char fill[] = {
#embed "Programs/fill.cl"
};
#define HAS_fill PROGRAM(fill)
#else
#define HAS_fill
#endif
#if __has_embed("Programs/strided_copy.cl")
static const char strided_copy[] = {
#embed "Programs/strided_copy.cl"
};
#define HAS_strided_copy PROGRAM(strided_copy)
#else
#define HAS_strided_copy
#endif
#if __has_embed("Programs/gather.cl")
static const char gather[] = {
#embed "Programs/gather.cl"
};
#define HAS_gather PROGRAM(gather)
#else
#define HAS_gather
#endif
#if __has_embed("Programs/one_hot.cl")
static const char one_hot[] = {
#embed "Programs/one_hot.cl"
};
#define HAS_one_hot PROGRAM(one_hot)
#else
#define HAS_one_hot
#endif
#if __has_embed("Programs/matmul.cl")
static const char matmul[] = {
#embed "Programs/matmul.cl"
};
#define HAS_matmul PROGRAM(matmul)
#else
#define HAS_matmul
#endif
#if __has_embed("Programs/matmul_local.cl")
static const char matmul_local[] = {
#embed "Programs/matmul_local.cl"
};
#define HAS_matmul_local PROGRAM(matmul_local)
#else
#define HAS_matmul_local
#endif
#if __has_embed("Programs/convolution2d.cl")
static const char convolution2d[] = {
#embed "Programs/convolution2d.cl"
};
#define HAS_convolution2d PROGRAM(convolution2d)
#else
#define HAS_convolution2d
#endif
#if __has_embed("Programs/convolution2d_filter.cl")
static const char convolution2d_filter[] = {
#embed "Programs/convolution2d_filter.cl"
};
#define HAS_convolution2d_filter PROGRAM(convolution2d_filter)
#else
#define HAS_convolution2d_filter
#endif
#if __has_embed("Programs/convolution2d_local.cl")
static const char convolution2d_local[] = {
#embed "Programs/convolution2d_local.cl"
};
#define HAS_convolution2d_local PROGRAM(convolution2d_local)
#else
#define HAS_convolution2d_local
#endif
#if __has_embed("Programs/convolution2d_filter_local.cl")
static const char convolution2d_filter_local[] = {
#embed "Programs/convolution2d_filter_local.cl"
};
#define HAS_convolution2d_filter_local PROGRAM(convolution2d_filter_local)
#else
#define HAS_convolution2d_filter_local
#endif
#if __has_embed("Programs/convolution2d_groups.cl")
static const char convolution2d_groups[] = {
#embed "Programs/convolution2d_groups.cl"
};
#define HAS_convolution2d_groups PROGRAM(convolution2d_groups)
#else
#define HAS_convolution2d_groups
#endif
#if __has_embed("Programs/pooling2d.cl")
static const char pooling2d[] = {
#embed "Programs/pooling2d.cl"
};
#define HAS_pooling2d PROGRAM(pooling2d)
#else
#define HAS_pooling2d
#endif
#if __has_embed("Programs/batch_normalization.cl")
static const char batch_normalization[] = {
#embed "Programs/batch_normalization.cl"
};
#define HAS_batch_normalization PROGRAM(batch_normalization)
#else
#define HAS_batch_normalization
#endif
#if __has_embed("Programs/batch_normalization_gradient.cl")
static const char batch_normalization_gradient[] = {
#embed "Programs/batch_normalization_gradient.cl"
};
#define HAS_batch_normalization_gradient PROGRAM(batch_normalization_gradient)
#else
#define HAS_batch_normalization_gradient
#endif
#if __has_embed("Programs/layer_normalization.cl")
static const char layer_normalization[] = {
#embed "Programs/layer_normalization.cl"
};
#define HAS_layer_normalization PROGRAM(layer_normalization)
#else
#define HAS_layer_normalization
#endif
#if __has_embed("Programs/softmax.cl")
static const char softmax[] = {
#embed "Programs/softmax.cl"
};
#define HAS_softmax PROGRAM(softmax)
#else
#define HAS_softmax
#endif
#if __has_embed("Programs/softmax_cross_entropy.cl")
static const char softmax_cross_entropy[] = {
#embed "Programs/softmax_cross_entropy.cl"
};
#define HAS_softmax_cross_entropy PROGRAM(softmax_cross_entropy)
#else
#define HAS_softmax_cross_entropy
#endif
#if __has_embed("Programs/random.cl")
static const char random[] = {
#embed "Programs/random.cl"
};
#define HAS_random PROGRAM(random)
#else
#define HAS_random
#endif
#if __has_embed("Programs/dropout.cl")
static const char dropout[] = {
#embed "Programs/dropout.cl"
};
#define HAS_dropout PROGRAM(dropout)
#else
#define HAS_dropout
#endif
#if __has_embed("Programs/global_norm_clip.cl")
static const char global_norm_clip[] = {
#embed "Programs/global_norm_clip.cl"
};
#define HAS_global_norm_clip PROGRAM(global_norm_clip)
#else
#define HAS_global_norm_clip
#endif
#if __has_embed("Programs/optimizer_step.cl")
static const char optimizer_step[] = {
#embed "Programs/optimizer_step.cl"
};
#define HAS_optimizer_step PROGRAM(optimizer_step)
#else
#define HAS_optimizer_step
#endif
#if __has_embed("Programs/multiply_add_peak.cl")
static const char multiply_add_peak[] = {
#embed "Programs/multiply_add_peak.cl"
};
#define HAS_multiply_add_peak PROGRAM(multiply_add_peak)
#else
#define HAS_multiply_add_peak
#endif

#define PROGRAM(name) {#name, name, sizeof name},
static const KeelKernelProgram programs[] = {
    HAS_prelude
    HAS_pointwise
    HAS_bias_activation
    HAS_reduction
    HAS_argmax
    HAS_fill
    HAS_strided_copy
    HAS_gather
    HAS_one_hot
    HAS_matmul
    HAS_matmul_local
    HAS_convolution2d
    HAS_convolution2d_filter
    HAS_convolution2d_local
    HAS_convolution2d_filter_local
    HAS_convolution2d_groups
    HAS_pooling2d
    HAS_batch_normalization
    HAS_batch_normalization_gradient
    HAS_layer_normalization
    HAS_softmax
    HAS_softmax_cross_entropy
    HAS_random
    HAS_dropout
    HAS_global_norm_clip
    HAS_optimizer_step
    HAS_multiply_add_peak
};

const KeelKernelProgram *keel_kernel_programs(void) { return programs; }
size_t keel_kernel_program_count(void) { return sizeof programs / sizeof programs[0]; }
