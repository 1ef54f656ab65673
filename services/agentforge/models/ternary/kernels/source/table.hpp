// Embeddings and heads in 32, 8 or 4 bits.
#pragma once
#include "linear.hpp"
#include "nibbles.hpp"

namespace {

// A row in two int8 halves, x = (128 high + low) * scale, with their sums by span.
struct Halves {
    int8_t *high, *low;
    int32_t* sum;
    float scale;

    Halves(const float* x, int64_t n, int64_t span, int8_t* room) : high(room), low(room + n) {
        sum = reinterpret_cast<int32_t*>(room + 2 * n);
        std::memset(sum, 0, static_cast<size_t>(8 * ((n + span - 1) / span)));
        const float unit = absmax(x, n) / 16256.0f, safe = unit > 0 ? unit : 1.0f;
        for (int64_t i = 0; i < n; i += 16) {
            int32_t whole[16];
            rounded16(x + i, safe, 16256.0f, whole);
            for (int k = 0; k < 16; ++k) {
                const int32_t upper = (whole[k] + 64) >> 7, lower = whole[k] - 128 * upper;
                high[i + k] = static_cast<int8_t>(upper), low[i + k] = static_cast<int8_t>(lower);
                sum[2 * (i / span)] += upper, sum[2 * (i / span) + 1] += lower;
            }
        }
        scale = unit != unit ? unit : safe;
    }
};

inline int64_t tile_bytes(const Table& w) { return padded(w.columns) * 2 * w.bits; }  // of a block of 16 rows

inline const float* float_row(const Table& w, int64_t row) {
    return reinterpret_cast<const float*>(w.tiles) + row * padded(w.columns);
}

// A row's sum is one rank's alone, so how many ranks there are does not change it.
inline void float_product(const Table& w, const float* x, float* out, Share blocks) {
    for (int64_t row = 16 * blocks.first; row < smaller(16 * blocks.last, w.rows); ++row)
        out[row] = dot(float_row(w, row), x, padded(w.columns));
}

// All rows of a table times one token; for codes, its parts in a row are 15 bits wide.
inline void table_product(const Table& w, const float* x, float* out, const Team& team, int8_t* room) {
    const int64_t n = padded(w.columns), rows = padded(w.rows), spans = (n + w.span - 1) / w.span;
    const Share blocks = team.share(rows / 16);
    if (w.bits == 32) return float_product(w, x, out, blocks);
    const Halves q(x, n, w.span, room);
    for (int64_t b = blocks.first; b < blocks.last; ++b) {
        float y[16], all[16] = {};
        for (int64_t g = 0; g < spans; ++g) {
            const int64_t from = g * w.span, count = smaller(w.span, n - from);
            const int8_t* tile = w.tiles + b * tile_bytes(w) + 2 * w.bits * from;
            const int8_t *high = q.high + from, *low = q.low + from;
            if (w.bits == 8) int8_tile(tile, count / 4, high, low, q.sum + 2 * g, y);
            else nibble_tile(reinterpret_cast<const uint8_t*>(tile), count / 8, high, low, q.sum + 2 * g, y);
            for (int i = 0; i < 16; ++i) all[i] += y[i] * w.scale[g * rows + 16 * b + i];
        }
        for (int64_t i = 0; i < smaller(16, w.rows - 16 * b); ++i) out[16 * b + i] = all[i] * q.scale;
    }
}

inline void table_row(const Table& w, int64_t row, float* out) {
    if (w.bits == 32) {
        std::memcpy(out, float_row(w, row), static_cast<size_t>(4 * w.columns));
        return;
    }
    const int8_t* tiles = w.tiles + row / 16 * tile_bytes(w) + row % 16 * 4;
    for (int64_t k = 0; k < w.columns; ++k) {
        const int byte = w.bits == 8 ? tiles[k / 4 * 64 + k % 4] : tiles[k / 8 * 64 + k % 4];
        const int code = w.bits == 8 ? byte : (byte >> k % 8 / 4 * 4 & 15) - 7;
        out[k] = static_cast<float>(code) * w.scale[k / w.span * padded(w.rows) + row];
    }
}

}  // namespace
