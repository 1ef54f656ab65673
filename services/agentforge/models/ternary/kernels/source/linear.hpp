// Linear layers on padded rows: absmax int8 activations, the integer product, scales; or plain float32.
#pragma once
#include "floats.hpp"
#include "model.hpp"
#include "team.hpp"

namespace {

using bytes16 = int8_t __attribute__((vector_size(16)));

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

inline int64_t groups_of(const Linear& w) { return (w.columns + w.group - 1) / w.group; }

// A token's bytes in the order in which the tiles' planes meet them: 4 x 4 of every 16 transposed.
inline void arrange(const int8_t* from, int8_t* to) {
    bytes16 v;
    std::memcpy(&v, from, 16);
    v = __builtin_shufflevector(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    std::memcpy(to, &v, 16);
}

// Largest |x|, and NaN where anything is not finite.
inline float absmax(const float* x, int64_t n) {
    vec most = {}, wrong = {};
    for (int64_t i = 0; i < n; i += LANES) {
        const vec v = load(x + i), size = v < 0 ? -v : v;
        most = size > most ? size : most;
        wrong += v * 0.0f;
    }
    float result = 0;
    for (int i = 0; i < LANES; ++i) result = most[i] > result ? most[i] : result;
    return result + total(wrong);
}

// 16 floats over `unit`, rounded half to even, as int32 in [-limit, limit].
inline void rounded16(const float* x, float unit, float limit, int32_t* out) {
    for (int i = 0; i < 16; i += LANES) {
        vec v = load(x + i) / unit;
        v = v > limit ? vec{} + limit : v;
        v = v < -limit ? vec{} - limit : v;
        const ivec whole = (ivec)(v + kRound) - kRoundBits;
        std::memcpy(out + i, &whole, sizeof whole);
    }
}

struct Tokens {  // quantised; sums by token and group
    int8_t* x;
    int64_t stride;
    float* scale;
    int32_t* sum;
};

// The scale of a row with something that is not finite is NaN, and so is all that comes of it.
inline void quantise(const float* x, int64_t n, int64_t group, int64_t groups, int8_t* out, float* scale, int32_t* sum) {
    const float most = absmax(x, n), unit = most / 127.0f;
    *scale = unit == 0 ? 1.0f : unit;
    for (int64_t g = 0; g < groups; ++g) sum[g] = 0;
    if (unit != unit) {
        std::memset(out, 0, static_cast<size_t>(n));
        return;
    }
    for (int64_t i = 0; i < n; i += 16) {
        int32_t whole[16];
        int8_t narrow[16];
        rounded16(x + i, *scale, 127.0f, whole);
        int32_t here = 0;
        for (int k = 0; k < 16; ++k) here += whole[k];
        for (int k = 0; k < 16; ++k) narrow[k] = static_cast<int8_t>(whole[k]);
        sum[i / group] += here;
        arrange(narrow, out + i);
    }
}

constexpr int kTogether = 8;  // tokens of a tile, at most: with two blocks their sums fit the registers of AVX-512

template <int R>
inline void tile_of(int64_t tokens, const uint8_t* tiles, int64_t block, int64_t chunks, const int8_t* x,
                    int64_t stride, const int32_t* sum, int64_t sums, int32_t* out) {
    switch (tokens) {
        case 1: return ternary_tile<R, 1>(tiles, block, chunks, x, stride, sum, sums, out);
        case 2: return ternary_tile<R, 2>(tiles, block, chunks, x, stride, sum, sums, out);
        case 3: return ternary_tile<R, 3>(tiles, block, chunks, x, stride, sum, sums, out);
        case 4: return ternary_tile<R, 4>(tiles, block, chunks, x, stride, sum, sums, out);
        default: return ternary_tile<R, kTogether>(tiles, block, chunks, x, stride, sum, sums, out);
    }
}

// emit(token, block, group, 16 integers) for all tokens, these blocks and all groups, groups in order.
template <class Emit>
inline void products(const Linear& w, const Tokens& q, int64_t tokens, Share blocks, const Emit& emit) {
    const int64_t chunks = padded(w.columns) / 16, groups = groups_of(w), step = w.group / 16;
    for (int64_t b = blocks.first; b < blocks.last;) {
        // A single token waits for memory, which is read at twice the speed in one stream.
        const int pair = tokens > 1 && b + 1 < blocks.last ? 2 : 1;
        const uint8_t* tiles = static_cast<const uint8_t*>(w.weight) + b * chunks * 64;
        for (int64_t t = 0, many; t < tokens; t += many) {
            many = tokens - t < kTogether ? smaller(4, tokens - t) : kTogether;
            for (int64_t g = 0; g < groups; ++g) {
                int32_t out[2 * kTogether * 16];
                const int64_t from = g * step, count = groups == 1 ? chunks : smaller(step, chunks - from);
                const uint8_t* tile = tiles + 64 * from;
                const int8_t* x = q.x + t * q.stride + 16 * from;
                const int32_t* sum = q.sum + t * groups + g;
                if (pair == 2) tile_of<2>(many, tile, chunks * 64, count, x, q.stride, sum, groups, out);
                else tile_of<1>(many, tile, chunks * 64, count, x, q.stride, sum, groups, out);
                for (int n = 0; n < many * pair; ++n) emit(t + n / pair, b + n % pair, g, out + 16 * n);
            }
        }
        b += pair;
    }
}

struct Out {
    float* to;
    int64_t stride;
    bool add;
};

inline void scaled(const Linear& w, const Tokens& q, int64_t tokens, Share blocks, const Out& out) {
    const int64_t rows = padded(w.rows);
    products(w, q, tokens, blocks, [&](int64_t t, int64_t b, int64_t g, const int32_t* whole) {
        float* to = out.to + t * out.stride + 16 * b;
        const float *scale = w.scale + g * rows + 16 * b, unit = q.scale[t];
        const float* bias = w.bias && g == 0 ? w.bias + 16 * b : nullptr;
        const int64_t width = smaller(16, w.rows - 16 * b);
        const bool add = out.add || g > 0;
        float y[16];
        for (int i = 0; i < 16; ++i) y[i] = static_cast<float>(whole[i]) * scale[i] * unit;  // in BitLinear's order
        asm volatile("" ::: "memory");  // no fused multiply-add from here on: floats agree with BitLinear to the bit
        for (int64_t i = 0; add && i < width; ++i) y[i] += to[i];
        for (int64_t i = 0; i < width; ++i) to[i] = bias ? y[i] + bias[i] : y[i];
    });
}

inline void plain(const Linear& w, const float* x, int64_t stride, int64_t tokens, Share blocks, const Out& out) {
    const float* weight = static_cast<const float*>(w.weight);
    for (int64_t n = 16 * blocks.first; n < smaller(16 * blocks.last, w.rows); ++n)
        for (int64_t t = 0; t < tokens; ++t) {
            float* to = out.to + t * out.stride + n;
            *to = (out.add ? *to : 0.0f) + dot(weight + n * w.stride, x + t * stride, w.stride) + (w.bias ? w.bias[n] : 0.0f);
        }
}

// Room for one layer's input: floats after the norm, and bytes; `width` is the widest padded input.
struct Scratch {
    float *normed, *scale;
    int32_t* sum;
    int8_t* x;
    int64_t width;
    static int64_t size(int64_t tokens, int64_t width) { return tokens * (width + 1 + width / 16 + width / 4) + 64; }
    Scratch(float* room, int64_t tokens, int64_t widest) : normed(room), width(widest) {
        scale = normed + tokens * width;
        sum = reinterpret_cast<int32_t*>(scale + tokens);
        x = reinterpret_cast<int8_t*>(sum + tokens * (width / 16));
    }
};

// out (+)= w(x) for this rank's blocks of rows. Each rank quantises all of x for itself: cheaper than waiting.
inline void apply(const Linear& w, const float* x, int64_t stride, int64_t tokens, const Out& out, const Team& team,
                  const Scratch& room) {
    const Share blocks = team.share(padded(w.rows) / 16);
    const int64_t n = padded(w.columns), groups = groups_of(w);
    if (!w.ternary) return plain(w, x, stride, tokens, blocks, out);
    const Tokens q{room.x, n, room.scale, room.sum};
    for (int64_t t = 0; t < tokens; ++t) {
        const float* row = x + t * stride;
        if (w.norm) rms_norm(row, nullptr, kTiny, w.columns, room.normed);
        quantise(w.norm ? room.normed : row, n, w.group, groups, q.x + t * n, q.scale + t, q.sum + t * groups);
    }
    scaled(w, q, tokens, blocks, out);
}

}  // namespace
