#include "KeelKernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

// One array per program, the text of its file; a test compares the list with the folder.
static const char prelude[] = {
#embed "Programs/prelude.cl"
};
static const char prelude_recurrent[] = {
#embed "Programs/prelude_recurrent.cl"
};
static const char prelude_random[] = {
#embed "Programs/prelude_random.cl"
};
static const char prelude_tiles[] = {
#embed "Programs/prelude_tiles.cl"
};
static const char prelude_half[] = {
#embed "Programs/prelude_half.cl"
};
static const char prelude_step[] = {
#embed "Programs/prelude_step.cl"
};
static const char prelude_recurrent_groups[] = {
#embed "Programs/prelude_recurrent_groups.cl"
};
static const char prelude_team[] = {
#embed "Programs/prelude_team.cl"
};
static const char prelude_turn[] = {
#embed "Programs/prelude_turn.cl"
};
static const char prelude_winograd[] = {
#embed "Programs/prelude_winograd.cl"
};
static const char pointwise[] = {
#embed "Programs/pointwise.cl"
};
static const char convert[] = {
#embed "Programs/convert.cl"
};
static const char bias_activation[] = {
#embed "Programs/bias_activation.cl"
};
static const char reduction[] = {
#embed "Programs/reduction.cl"
};
static const char argmax[] = {
#embed "Programs/argmax.cl"
};
static const char fill[] = {
#embed "Programs/fill.cl"
};
static const char strided_copy[] = {
#embed "Programs/strided_copy.cl"
};
static const char gather[] = {
#embed "Programs/gather.cl"
};
static const char one_hot[] = {
#embed "Programs/one_hot.cl"
};
static const char matmul[] = {
#embed "Programs/matmul.cl"
};
static const char matmul_sum[] = {
#embed "Programs/matmul_sum.cl"
};
static const char matmul_rows[] = {
#embed "Programs/matmul_rows.cl"
};
static const char matmul_blocks[] = {
#embed "Programs/matmul_blocks.cl"
};
static const char matmul_pack[] = {
#embed "Programs/matmul_pack.cl"
};
static const char matmul_local[] = {
#embed "Programs/matmul_local.cl"
};
static const char convolution2d[] = {
#embed "Programs/convolution2d.cl"
};
static const char convolution2d_filter[] = {
#embed "Programs/convolution2d_filter.cl"
};
static const char convolution2d_local[] = {
#embed "Programs/convolution2d_local.cl"
};
static const char convolution2d_filter_local[] = {
#embed "Programs/convolution2d_filter_local.cl"
};
static const char convolution2d_groups[] = {
#embed "Programs/convolution2d_groups.cl"
};
static const char convolution2d_winograd_filter_blocks[] = {
#embed "Programs/convolution2d_winograd_filter_blocks.cl"
};
static const char convolution2d_winograd_blocks[] = {
#embed "Programs/convolution2d_winograd_blocks.cl"
};
static const char convolution2d_spread[] = {
#embed "Programs/convolution2d_spread.cl"
};
static const char convolution2d_winograd[] = {
#embed "Programs/convolution2d_winograd.cl"
};
static const char pooling2d[] = {
#embed "Programs/pooling2d.cl"
};
static const char lstm[] = {
#embed "Programs/lstm.cl"
};
static const char gru[] = {
#embed "Programs/gru.cl"
};
static const char gru_tiles[] = {
#embed "Programs/gru_tiles.cl"
};
static const char lstm_tiles[] = {
#embed "Programs/lstm_tiles.cl"
};
static const char batch_normalization[] = {
#embed "Programs/batch_normalization.cl"
};
static const char batch_normalization_gradient[] = {
#embed "Programs/batch_normalization_gradient.cl"
};
static const char layer_normalization[] = {
#embed "Programs/layer_normalization.cl"
};
static const char softmax[] = {
#embed "Programs/softmax.cl"
};
static const char softmax_cross_entropy[] = {
#embed "Programs/softmax_cross_entropy.cl"
};
static const char random[] = {
#embed "Programs/random.cl"
};
static const char dropout[] = {
#embed "Programs/dropout.cl"
};
static const char gradient_telescope[] = {
#embed "Programs/gradient_telescope.cl"
};
static const char gradient_telescope_histogram[] = {
#embed "Programs/gradient_telescope_histogram.cl"
};
static const char step_control[] = {
#embed "Programs/step_control.cl"
};
static const char gradient_clip[] = {
#embed "Programs/gradient_clip.cl"
};
static const char optimizer_step[] = {
#embed "Programs/optimizer_step.cl"
};
static const char optimizer_step_mirror[] = {
#embed "Programs/optimizer_step_mirror.cl"
};
static const char gradient_noise[] = {
#embed "Programs/gradient_noise.cl"
};
static const char regularization[] = {
#embed "Programs/regularization.cl"
};
static const char unit_norm[] = {
#embed "Programs/unit_norm.cl"
};
static const char multiply_add_peak[] = {
#embed "Programs/multiply_add_peak.cl"
};

#define PROGRAM(name) {#name, name, sizeof name}
static const KeelKernelProgram programs[] = {
    PROGRAM(prelude),
    PROGRAM(prelude_random),
    PROGRAM(prelude_recurrent),
    PROGRAM(prelude_tiles),
    PROGRAM(prelude_half),
    PROGRAM(prelude_step),
    PROGRAM(prelude_recurrent_groups),
    PROGRAM(prelude_team),
    PROGRAM(prelude_turn),
    PROGRAM(prelude_winograd),
    PROGRAM(pointwise),
    PROGRAM(convert),
    PROGRAM(bias_activation),
    PROGRAM(reduction),
    PROGRAM(argmax),
    PROGRAM(fill),
    PROGRAM(strided_copy),
    PROGRAM(gather),
    PROGRAM(one_hot),
    PROGRAM(matmul),
    PROGRAM(matmul_sum),
    PROGRAM(matmul_rows),
    PROGRAM(matmul_blocks),
    PROGRAM(matmul_pack),
    PROGRAM(matmul_local),
    PROGRAM(convolution2d),
    PROGRAM(convolution2d_filter),
    PROGRAM(convolution2d_local),
    PROGRAM(convolution2d_filter_local),
    PROGRAM(convolution2d_groups),
    PROGRAM(convolution2d_winograd),
    PROGRAM(convolution2d_winograd_blocks),
    PROGRAM(convolution2d_winograd_filter_blocks),
    PROGRAM(convolution2d_spread),
    PROGRAM(pooling2d),
    PROGRAM(gru),
    PROGRAM(gru_tiles),
    PROGRAM(lstm),
    PROGRAM(lstm_tiles),
    PROGRAM(batch_normalization),
    PROGRAM(batch_normalization_gradient),
    PROGRAM(layer_normalization),
    PROGRAM(softmax),
    PROGRAM(softmax_cross_entropy),
    PROGRAM(random),
    PROGRAM(dropout),
    PROGRAM(gradient_telescope),
    PROGRAM(gradient_telescope_histogram),
    PROGRAM(step_control),
    PROGRAM(gradient_clip),
    PROGRAM(optimizer_step),
    PROGRAM(optimizer_step_mirror),
    PROGRAM(gradient_noise),
    PROGRAM(regularization),
    PROGRAM(unit_norm),
    PROGRAM(multiply_add_peak),
};

const KeelKernelProgram *keel_kernel_programs(void) { return programs; }
size_t keel_kernel_program_count(void) { return sizeof programs / sizeof programs[0]; }
