// Pooling of NHWC images. Channels are contiguous: they are the vector loop. Gradients are gathered
// by input pixel, so that no two threads write the same place and the order is fixed.
#include "loops.h"

enum { channel_tile = 128 };

/// The window of output position `p` along one axis: taps [first, last) lie inside the image.
KEEL_INLINE size_t first_tap(size_t p, size_t stride, size_t pad) {
  return pad > p * stride ? pad - p * stride : 0;
}
KEEL_INLINE size_t last_tap(size_t p, size_t stride, size_t pad, size_t window, size_t extent) {
  return keel_smaller(window, extent + pad - p * stride);
}

/// The output positions whose windows hold input position `i`: [first, last).
KEEL_INLINE size_t first_window(size_t i, size_t stride, size_t pad, size_t window) {
  const size_t shifted = i + pad;
  return shifted < window ? 0 : (shifted - window) / stride + 1;
}
KEEL_INLINE size_t last_window(size_t i, size_t stride, size_t pad, size_t out_extent) {
  return keel_smaller(out_extent, (i + pad) / stride + 1);
}

KEEL_INLINE bool wins(float challenger, float best) {
  return challenger > best || (challenger != challenger && best == best);
}

/// One output pixel with all four taps of a 2 x 2 window inside the image.
KEEL_INLINE void max_of_four(
    const float *a, size_t row, size_t channels, float *y, uint8_t *indices) {
  const float *b = a + channels, *c = a + row, *d = c + channels;
  KEEL_VECTORISE
  for (size_t i = 0; i < channels; ++i) {
    float best = a[i];
    int32_t tap = 0;
    bool won = wins(b[i], best);
    best = won ? b[i] : best;
    tap = won ? 1 : tap;
    won = wins(c[i], best);
    best = won ? c[i] : best;
    tap = won ? 2 : tap;
    won = wins(d[i], best);
    best = won ? d[i] : best;
    tap = won ? 3 : tap;
    y[i] = best;
    indices[i] = (uint8_t)tap;
  }
}

KEEL_INLINE void max_of_window(
    const struct keel_pooling *g, const float *image, size_t p, size_t q, size_t start,
    size_t channels, float *y, uint8_t *indices) {
  const size_t u_begin = first_tap(p, g->stride_height, g->pad_top);
  const size_t u_end = last_tap(p, g->stride_height, g->pad_top, g->window_height, g->height);
  const size_t v_begin = first_tap(q, g->stride_width, g->pad_left);
  const size_t v_end = last_tap(q, g->stride_width, g->pad_left, g->window_width, g->width);
  float best[channel_tile];
  int32_t position[channel_tile];
  bool fresh = true;
  for (size_t u = u_begin; u < u_end; ++u) {
    for (size_t v = v_begin; v < v_end; ++v) {
      const size_t h = p * g->stride_height + u - g->pad_top;
      const size_t w = q * g->stride_width + v - g->pad_left;
      const float *pixel = image + (h * g->width + w) * g->channels + start;
      const int32_t tap = (int32_t)(u * g->window_width + v);
      for (size_t c = 0; c < channels; ++c) {
        const bool won = fresh || wins(pixel[c], best[c]);
        best[c] = won ? pixel[c] : best[c];
        position[c] = won ? tap : position[c];
      }
      fresh = false;
    }
  }
  for (size_t c = 0; c < channels; ++c) {
    y[c] = best[c];
    indices[c] = (uint8_t)position[c];
  }
}

KEEL_DISPATCH
void keel_max_pooling(
    const struct keel_pooling *g, const float *x, float *y, uint8_t *indices, size_t begin,
    size_t end) {
  const bool is_pairs = g->window_height == 2 && g->window_width == 2 && g->pad_top == 0 &&
      g->pad_left == 0;
  for (size_t row = begin; row < end; ++row) {
    const size_t n = row / g->out_height, p = row % g->out_height;
    const float *image = x + n * g->height * g->width * g->channels;
    for (size_t q = 0; q < g->out_width; ++q) {
      const size_t to = (row * g->out_width + q) * g->channels;
      const size_t h = p * g->stride_height, w = q * g->stride_width;
      if (is_pairs && h + 2 <= g->height && w + 2 <= g->width) {
        max_of_four(
            image + (h * g->width + w) * g->channels, g->width * g->channels, g->channels,
            y + to, indices + to);
        continue;
      }
      for (size_t c = 0; c < g->channels; c += channel_tile) {
        max_of_window(
            g, image, p, q, c, keel_smaller(channel_tile, g->channels - c), y + to + c,
            indices + to + c);
      }
    }
  }
}

KEEL_DISPATCH
void keel_max_pooling_gradient(
    const struct keel_pooling *g, const float *dy, const uint8_t *indices, float *dx,
    size_t begin, size_t end) {
  for (size_t row = begin; row < end; ++row) {
    const size_t n = row / g->height, h = row % g->height;
    const size_t p_begin = first_window(h, g->stride_height, g->pad_top, g->window_height);
    const size_t p_end = last_window(h, g->stride_height, g->pad_top, g->out_height);
    for (size_t w = 0; w < g->width; ++w) {
      float *restrict to = dx + (row * g->width + w) * g->channels;
      const size_t q_begin = first_window(w, g->stride_width, g->pad_left, g->window_width);
      const size_t q_end = last_window(w, g->stride_width, g->pad_left, g->out_width);
      bool fresh = true;
      for (size_t p = p_begin; p < p_end; ++p) {
        for (size_t q = q_begin; q < q_end; ++q) {
          const size_t u = h + g->pad_top - p * g->stride_height;
          const size_t v = w + g->pad_left - q * g->stride_width;
          const uint8_t tap = (uint8_t)(u * g->window_width + v);
          const size_t from = ((n * g->out_height + p) * g->out_width + q) * g->channels;
          const float *restrict upstream = dy + from;
          const uint8_t *restrict winner = indices + from;
          if (fresh) {
            for (size_t c = 0; c < g->channels; ++c) {
              const float value = upstream[c];
              to[c] = winner[c] == tap ? value : 0.0f;
            }
          } else {
            for (size_t c = 0; c < g->channels; ++c) {
              const float value = upstream[c];
              to[c] += winner[c] == tap ? value : 0.0f;
            }
          }
          fresh = false;
        }
      }
      if (fresh) memset(to, 0, g->channels * sizeof(float));
    }
  }
}

KEEL_DISPATCH
void keel_average_pooling(
    const struct keel_pooling *g, const float *x, float *y, size_t begin, size_t end) {
  for (size_t row = begin; row < end; ++row) {
    const size_t n = row / g->out_height, p = row % g->out_height;
    const float *image = x + n * g->height * g->width * g->channels;
    const size_t u_begin = first_tap(p, g->stride_height, g->pad_top);
    const size_t u_end =
        last_tap(p, g->stride_height, g->pad_top, g->window_height, g->height);
    for (size_t q = 0; q < g->out_width; ++q) {
      float *restrict to = y + (row * g->out_width + q) * g->channels;
      const size_t v_begin = first_tap(q, g->stride_width, g->pad_left);
      const size_t v_end =
          last_tap(q, g->stride_width, g->pad_left, g->window_width, g->width);
      memset(to, 0, g->channels * sizeof(float));
      for (size_t u = u_begin; u < u_end; ++u) {
        for (size_t v = v_begin; v < v_end; ++v) {
          const size_t h = p * g->stride_height + u - g->pad_top;
          const size_t w = q * g->stride_width + v - g->pad_left;
          const float *restrict pixel = image + (h * g->width + w) * g->channels;
          for (size_t c = 0; c < g->channels; ++c) to[c] += pixel[c];
        }
      }
      const float number = (float)((u_end - u_begin) * (v_end - v_begin));
      for (size_t c = 0; c < g->channels; ++c) to[c] /= number;
    }
  }
}

KEEL_DISPATCH
void keel_average_pooling_gradient(
    const struct keel_pooling *g, const float *dy, float *dx, size_t begin, size_t end) {
  for (size_t row = begin; row < end; ++row) {
    const size_t n = row / g->height, h = row % g->height;
    const size_t p_begin = first_window(h, g->stride_height, g->pad_top, g->window_height);
    const size_t p_end = last_window(h, g->stride_height, g->pad_top, g->out_height);
    for (size_t w = 0; w < g->width; ++w) {
      float *restrict to = dx + (row * g->width + w) * g->channels;
      const size_t q_begin = first_window(w, g->stride_width, g->pad_left, g->window_width);
      const size_t q_end = last_window(w, g->stride_width, g->pad_left, g->out_width);
      memset(to, 0, g->channels * sizeof(float));
      for (size_t p = p_begin; p < p_end; ++p) {
        const size_t rows = last_tap(
            p, g->stride_height, g->pad_top, g->window_height, g->height) -
            first_tap(p, g->stride_height, g->pad_top);
        for (size_t q = q_begin; q < q_end; ++q) {
          const size_t columns =
              last_tap(q, g->stride_width, g->pad_left, g->window_width, g->width) -
              first_tap(q, g->stride_width, g->pad_left);
          const float number = (float)(rows * columns);
          const float *restrict upstream =
              dy + ((n * g->out_height + p) * g->out_width + q) * g->channels;
          for (size_t c = 0; c < g->channels; ++c) to[c] += upstream[c] / number;
        }
      }
    }
  }
}
