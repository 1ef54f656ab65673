// Softmax over slots that hold keys and values: the window's, and the long-term memory's.
// Shapes: S slots in blocks of 16, K head size; keys are (S / 16, K, 16), values (S, padded K).
#pragma once
#include "linear.hpp"

namespace {

struct Slots {
    const float *key, *value;
    const int32_t* live;  // where the blocks begin that hold something to be seen; the others are passed over
    int64_t blocks, size;
};

struct Ask {
    const float* query;  // over the root of K
    const float* bias;   // by slot
    float* score;        // by slot of the live blocks: what comes of query, key and bias
    float* weight;       // the same before it is divided by its sum; may be the same room, as may `bias` if all is live
    float* out;
};

template <int Q>
inline void match(const Ask* ask, const Slots& slots, float* peak) {
    vec most[Q];
    for (auto& m : most) m = vec{} - INFINITY;
    for (int64_t b = 0; b < slots.blocks; ++b)
        for (int i = 0; i < 16; i += LANES) {
            vec sum[Q][2] = {};
            const float* keys = slots.key + slots.live[b] * slots.size + i;
            for (int64_t k = 0; k < slots.size; k += 2) {
                const vec even = load(keys + 16 * k), odd = load(keys + 16 * k + 16);
                for (int q = 0; q < Q; ++q) {
                    sum[q][0] += ask[q].query[k] * even;
                    sum[q][1] += ask[q].query[k + 1] * odd;
                }
            }
            for (int q = 0; q < Q; ++q) {
                const vec all = sum[q][0] + sum[q][1] + load(ask[q].bias + slots.live[b] + i);
                store(ask[q].score + 16 * b + i, all);
                most[q] = all > most[q] ? all : most[q];
            }
        }
    for (int q = 0; q < Q; ++q) {
        peak[q] = most[q][0];
        for (int i = 1; i < LANES; ++i) peak[q] = most[q][i] > peak[q] ? most[q][i] : peak[q];
    }
}

inline float soften(const Ask& ask, int64_t blocks, float peak) {  // one over the weights' sum
    vec sum = {};
    for (int64_t at = 0; at < 16 * blocks; at += LANES) {
        const vec weight = exponential(load(ask.score + at) - peak);
        sum += weight;
        store(ask.weight + at, weight);
    }
    return 1.0f / total(sum);
}

// 16 * W columns from `column` on, of which those up to K are wanted.
template <int Q, int W>
inline void mix(const Ask* ask, const Slots& slots, const float* scale, int64_t column) {
    constexpr int kVectors = W * 16 / LANES;
    const int64_t wide = padded(slots.size);
    vec sum[Q][kVectors] = {};
    for (int64_t b = 0; b < slots.blocks; ++b)
        for (int64_t slot = 0; slot < 16; ++slot) {
            const float* from = slots.value + (slots.live[b] + slot) * wide + column;
            for (int i = 0; i < kVectors; ++i) {
                const vec value = load(from + i * LANES);
                for (int q = 0; q < Q; ++q) sum[q][i] += ask[q].weight[16 * b + slot] * value;
            }
        }
    for (int q = 0; q < Q; ++q) {
        float part[16 * W];
        for (int i = 0; i < kVectors; ++i) store(part + i * LANES, sum[q][i] * scale[q]);
        std::memcpy(ask[q].out + column, part, static_cast<size_t>(4 * smaller(16 * W, slots.size - column)));
    }
}

// Q questions at once, which read each key and value once for all of them.
template <int Q>
inline void attend(const Ask* ask, const Slots& slots) {
    constexpr int kColumns = LANES == 16 ? 4 : 4 / Q;  // times 16: as many sums as registers hold
    float peak[Q], scale[Q];
    match<Q>(ask, slots, peak);
    for (int q = 0; q < Q; ++q) scale[q] = soften(ask[q], slots.blocks, peak[q]);
    const int64_t wide = padded(slots.size);
    int64_t k = 0;
    for (; k + 16 * kColumns <= wide; k += 16 * kColumns) mix<Q, kColumns>(ask, slots, scale, k);
    for (; k < wide; k += 16) mix<Q, 1>(ask, slots, scale, k);
}

inline void attend_all(const Ask* ask, int64_t count, const Slots& slots) {
    for (; count >= 4; count -= 4, ask += 4) attend<4>(ask, slots);
    if (count >= 2) attend<2>(ask, slots), ask += 2, count -= 2;
    if (count) attend<1>(ask, slots);
}

}  // namespace
