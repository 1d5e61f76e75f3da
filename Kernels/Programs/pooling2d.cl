// Maximum and average over windows of NHWC images, and their gradients.
//
// A cell is KEEL_WIDTH channels of one pixel. Work-item (first, row) walks the cells of one row of
// pixels: all of them on CPU-class devices (axis 0 has one item, which streams), one on GPUs
// (axis 0 has at least as many items as the row has cells, so neighbours read neighbours). The
// last cell of a pixel starts early where KEEL_WIDTH does not divide the channels: some channels
// are then computed twice, with the same result. No gradient scatters, so nothing needs an order.
typedef struct { uint pixel, part, parts, left; } cell_walk;

static inline cell_walk walk_over(const uint pixels, const uint channels)
{
  const uint parts = (channels + KEEL_WIDTH - 1) / KEEL_WIDTH;
  const uint first = get_global_id(0);
  const uint cells = pixels * parts;
  const uint left = get_global_size(0) == 1 ? cells : first < cells;
  const cell_walk result = {first / parts, first % parts, parts, left};
  return result;
}

static inline void advance(cell_walk *walk)
{
  walk->left -= 1;
  walk->part += 1;
  if (walk->part < walk->parts) return;
  walk->part = 0;
  walk->pixel += 1;
}

// All extents in the order of Pooling2DGeometry; the host passes them as two vectors.
typedef struct {
  uint height, width, channels, out_height, out_width;
  int window_height, window_width, stride_height, stride_width, pad_top, pad_left;
} geometry;

static inline geometry geometry_of(const uint8 extents, const uint4 more)
{
  const geometry result = {extents.s0, extents.s1, extents.s2, extents.s3, extents.s4,
                           extents.s5, extents.s6, extents.s7, more.x, more.y, more.z};
  return result;
}

// The part [from, to) of window number `position` that lies inside an axis.
static inline int2 inside(
    const int position, const int stride, const int pad, const int window, const int extent)
{
  const int start = position * stride - pad;
  return (int2)(max(start, 0), min(start + window, extent));
}

// The windows [from, to) that hold pixel `position` of an axis.
static inline int2 windows_over(
    const int position, const int stride, const int pad, const int window, const int extent)
{
  const int reach = position + pad;
  const int from = reach < window ? 0 : (reach - window) / stride + 1;
  return (int2)(from, min(reach / stride + 1, extent));
}

// A window's next element: a NaN beats every number, and nothing beats a NaN.
#define MEET(tap, place) \
  do { \
    const floats value = keel_get(place); \
    const ints wins = ~(value <= best) & (best == best); \
    best = wins ? value : best; \
    winner = wins ? (ints)(tap) : winner; \
  } while (0)

// pooling2d_max — y = the first largest element of each window, its first NaN if there is one.
//
// Buffers    x: batch x height x width x channels; y, indices: batch x outHeight x outWidth x
//            channels; indices: tap u * windowWidth + v of the winner.
// Work       axis 0 = first cell of a row of y, axis 1 = row of y.
// Requires   channels >= KEEL_WIDTH; every window holds a pixel.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLPooling2D.swift
// Checked    Sources/KeelCases/Pooling2DCases.swift
// Why        channels are contiguous, so a window is compared a vector of channels at a time. Two
//            by two is what most networks have: without loops, and as its two rows are runs that
//            end soon, those of the next row of windows are called into the cache meanwhile.
__kernel void pooling2d_max(
    __global const keel_stored *restrict x,
    __global keel_stored *restrict y,
    __global uchar *restrict indices,
    const uint8 extents,
    const uint4 more)
{
  const geometry g = geometry_of(extents, more);
  const size_t row = get_global_id(1);
  const int p = row % g.out_height;
  const int2 rows = inside(p, g.stride_height, g.pad_top, g.window_height, g.height);
  const size_t image = row / g.out_height * g.height;
  for (cell_walk walk = walk_over(g.out_width, g.channels); walk.left > 0; advance(&walk)) {
    const int q = walk.pixel;
    const uint c = min(walk.part * KEEL_WIDTH, g.channels - KEEL_WIDTH);
    const int2 columns = inside(q, g.stride_width, g.pad_left, g.window_width, g.width);
    const int top = p * g.stride_height - g.pad_top;
    const int left = q * g.stride_width - g.pad_left;
    __global const keel_stored *from =
        x + ((image + rows.x) * g.width + columns.x) * g.channels + c;
    const size_t pitch = (size_t)g.width * g.channels;
    int tap = (rows.x - top) * g.window_width + columns.x - left;
    floats best = keel_get(from);
    ints winner = (ints)(tap);
    if (rows.y - rows.x == 2 && columns.y - columns.x == 2) {
#if KEEL_WIDTH == 16
      __global const keel_stored *next = from + g.stride_height * pitch;
      keel_fetch(next);
      keel_fetch(next + g.channels);
      keel_fetch(next + pitch);
      keel_fetch(next + pitch + g.channels);
#endif
      MEET(tap + 1, from + g.channels);
      MEET(tap + g.window_width, from + pitch);
      MEET(tap + g.window_width + 1, from + pitch + g.channels);
    } else {
      for (int h = rows.x; h < rows.y; ++h, from += pitch, tap += g.window_width) {
        __global const keel_stored *place = from;
        for (int w = 0; w < columns.y - columns.x; ++w, place += g.channels) {
          MEET(tap + w, place);
        }
      }
    }
    const size_t out = (row * g.out_width + q) * g.channels + c;
    keel_set(best, y + out);
    keel_store(keel_to_uchars(winner), indices + out);
  }
}

// pooling2d_max_gradient — dx[pixel] = sum of dy over the windows whose winner is the pixel.
//
// Buffers    dy, indices: batch x outHeight x outWidth x channels; dx: as the input.
// Work       axis 0 = first cell of a row of dx, axis 1 = row of dx.
// Requires   channels >= KEEL_WIDTH.
// Numerics   windows are added in ascending order, one rounding each.
// Launched   Sources/KeelOpenCL/OpenCLPooling2D.swift
// Checked    Sources/KeelCases/Pooling2DCases.swift
// Why        each pixel gathers from its windows: overlapping ones need no atomics.
__kernel void pooling2d_max_gradient(
    __global const keel_stored *restrict dy,
    __global const uchar *restrict indices,
    __global keel_stored *restrict dx,
    const uint8 extents,
    const uint4 more)
{
  const geometry g = geometry_of(extents, more);
  const size_t row = get_global_id(1);
  const int h = row % g.height;
  const int2 rows = windows_over(h, g.stride_height, g.pad_top, g.window_height, g.out_height);
  const size_t image = row / g.height * g.out_height;
  const size_t count = get_global_size(1) * g.width * g.channels;
  const bool past = g.channels % 8 == 0 && keel_stored_goes_past(dx, count);
  for (cell_walk walk = walk_over(g.width, g.channels); walk.left > 0; advance(&walk)) {
    const int w = walk.pixel;
    const uint c = min(walk.part * KEEL_WIDTH, g.channels - KEEL_WIDTH);
    const int2 columns =
        windows_over(w, g.stride_width, g.pad_left, g.window_width, g.out_width);
    floats sum = (floats)(0.0f);
    for (int p = rows.x; p < rows.y; ++p) {
      for (int q = columns.x; q < columns.y; ++q) {
        const size_t from = ((image + p) * g.out_width + q) * g.channels + c;
        const int tap = (h - p * g.stride_height + g.pad_top) * g.window_width + w -
                        q * g.stride_width + g.pad_left;
        const ints won = keel_to_ints(keel_load(indices + from)) == tap;
        sum += select((floats)(0.0f), keel_get(dy + from), won);
      }
    }
    keel_set_past(sum, dx + (row * g.width + w) * g.channels + c, past);
  }
}

// pooling2d_max_gradient_apart — the same where no two windows overlap.
//
// Buffers    as pooling2d_max_gradient.
// Work       one work-item per row of y: it owns the rows of dx from its windows' top to the next
//            ones', the first and last also what lies outside.
// Requires   stride >= window on both axes; channels >= KEEL_WIDTH; CPU-class: local size 1 x 1.
// Numerics   exact: an element is dy or 0.
// Launched   Sources/KeelOpenCL/OpenCLPooling2D.swift
// Checked    Sources/KeelCases/Pooling2DCases.swift
// Why        every pixel has at most one window, found by walking instead of dividing: dx is
//            written once, front to back, at memory speed.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void pooling2d_max_gradient_apart(
    __global const keel_stored *restrict dy,
    __global const uchar *restrict indices,
    __global keel_stored *restrict dx,
    const uint8 extents,
    const uint4 more)
{
  const geometry g = geometry_of(extents, more);
  const int p = get_global_id(0) % g.out_height;
  const size_t image = get_global_id(0) / g.out_height;
  const int top = p * g.stride_height - g.pad_top;
  const int last_row = p + 1 == (int)g.out_height ? (int)g.height : top + g.stride_height;
  const size_t source = get_global_id(0) * g.out_width * g.channels;
  const size_t count =
      get_global_size(0) / g.out_height * g.height * g.width * g.channels;
  const bool past = g.channels % 8 == 0 && keel_stored_goes_past(dx, count);
  for (int h = p == 0 ? 0 : top; h < last_row; ++h) {
    const int u = h - top;
    __global keel_stored *to = dx + (image * g.height + h) * g.width * g.channels;
    for (int q = 0; q < (int)g.out_width; ++q) {
      const int left = q * g.stride_width - g.pad_left;
      const int last = q + 1 == (int)g.out_width ? (int)g.width : left + g.stride_width;
      const size_t from = source + (size_t)q * g.channels;
      for (int w = q == 0 ? 0 : left; w < last; ++w, to += g.channels) {
        const int v = w - left;
        const int tap = u < g.window_height && v < g.window_width ? u * g.window_width + v : -1;
        for (uint start = 0; start < g.channels; start += KEEL_WIDTH) {
          const uint c = min(start, g.channels - KEEL_WIDTH);
          const ints won = keel_to_ints(keel_load(indices + from + c)) == tap;
          keel_set_past(select((floats)(0.0f), keel_get(dy + from + c), won), to + c, past);
        }
      }
    }
  }
}

// pooling2d_average — y = the sum of each window's pixels inside the image / their number.
//
// Buffers    as pooling2d_max, without indices.
// Work       axis 0 = first cell of a row of y, axis 1 = row of y.
// Requires   channels >= KEEL_WIDTH; every window holds a pixel.
// Numerics   pixels are added in row-major order, then one division.
// Launched   Sources/KeelOpenCL/OpenCLPooling2D.swift
// Checked    Sources/KeelCases/Pooling2DCases.swift
// Why        as pooling2d_max.
__kernel void pooling2d_average(
    __global const keel_stored *restrict x,
    __global keel_stored *restrict y,
    const uint8 extents,
    const uint4 more)
{
  const geometry g = geometry_of(extents, more);
  const size_t row = get_global_id(1);
  const int p = row % g.out_height;
  const int2 rows = inside(p, g.stride_height, g.pad_top, g.window_height, g.height);
  const size_t image = row / g.out_height * g.height;
  for (cell_walk walk = walk_over(g.out_width, g.channels); walk.left > 0; advance(&walk)) {
    const int q = walk.pixel;
    const uint c = min(walk.part * KEEL_WIDTH, g.channels - KEEL_WIDTH);
    const int2 columns = inside(q, g.stride_width, g.pad_left, g.window_width, g.width);
    floats sum = (floats)(0.0f);
    for (int h = rows.x; h < rows.y; ++h) {
      __global const keel_stored *from = x + ((image + h) * g.width + columns.x) * g.channels + c;
      for (int w = columns.x; w < columns.y; ++w, from += g.channels) sum += keel_get(from);
    }
    const float pixels = (rows.y - rows.x) * (columns.y - columns.x);
    keel_set(sum / pixels, y + (row * g.out_width + q) * g.channels + c);
  }
}

// pooling2d_average_gradient — dx[pixel] = sum over its windows of dy / pixels in the window.
//
// Buffers    dy: batch x outHeight x outWidth x channels; dx: as the input.
// Work       axis 0 = first cell of a row of dx, axis 1 = row of dx.
// Requires   channels >= KEEL_WIDTH.
// Numerics   windows are added in ascending order, a division and a sum each.
// Launched   Sources/KeelOpenCL/OpenCLPooling2D.swift
// Checked    Sources/KeelCases/Pooling2DCases.swift
// Why        as pooling2d_max_gradient.
__kernel void pooling2d_average_gradient(
    __global const keel_stored *restrict dy,
    __global keel_stored *restrict dx,
    const uint8 extents,
    const uint4 more)
{
  const geometry g = geometry_of(extents, more);
  const size_t row = get_global_id(1);
  const int h = row % g.height;
  const int2 rows = windows_over(h, g.stride_height, g.pad_top, g.window_height, g.out_height);
  const size_t image = row / g.height * g.out_height;
  const size_t count = get_global_size(1) * g.width * g.channels;
  const bool past = g.channels % 8 == 0 && keel_stored_goes_past(dx, count);
  for (cell_walk walk = walk_over(g.width, g.channels); walk.left > 0; advance(&walk)) {
    const int w = walk.pixel;
    const uint c = min(walk.part * KEEL_WIDTH, g.channels - KEEL_WIDTH);
    const int2 columns =
        windows_over(w, g.stride_width, g.pad_left, g.window_width, g.out_width);
    floats sum = (floats)(0.0f);
    for (int p = rows.x; p < rows.y; ++p) {
      const int2 tall = inside(p, g.stride_height, g.pad_top, g.window_height, g.height);
      for (int q = columns.x; q < columns.y; ++q) {
        const int2 wide = inside(q, g.stride_width, g.pad_left, g.window_width, g.width);
        const float pixels = (tall.y - tall.x) * (wide.y - wide.x);
        sum += keel_get(dy + ((image + p) * g.out_width + q) * g.channels + c) / pixels;
      }
    }
    keel_set_past(sum, dx + (row * g.width + w) * g.channels + c, past);
  }
}
