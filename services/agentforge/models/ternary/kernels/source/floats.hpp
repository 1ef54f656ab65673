// Float loops, written for vectors of LANES floats; rows are padded with zeros to 16, so there are no tails.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

using vec = float __attribute__((vector_size(4 * LANES)));
using ivec = int32_t __attribute__((vector_size(4 * LANES)));

inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

inline vec load(const float* from) {
    vec v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline void store(float* to, vec v) { std::memcpy(to, &v, sizeof v); }

inline float total(vec v) {
    float sum = 0;
    for (int i = 0; i < LANES; ++i) sum += v[i];
    return sum;
}

inline float dot(const float* a, const float* b, int64_t n) {
    vec sum[2] = {};
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        sum[0] += load(a + i) * load(b + i);
        sum[1] += load(a + i + LANES) * load(b + i + LANES);
    }
    for (; i < n; i += LANES) sum[0] += load(a + i) * load(b + i);
    return total(sum[0] + sum[1]);
}

// x + kRound has round-half-even(x) in its low bits, for |x| < 2^22: no library call.
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
constexpr int32_t kRoundBits = 0x4b400000;
constexpr float kTiny = 0x1p-23f;  // what PyTorch adds in an RMS norm that names no epsilon

inline vec exponential(vec x) {  // relative error below 2e-7; 0 below -87
    const ivec tiny = x < -87.0f;
    x = tiny ? vec{} : x;
    x = x > 88.0f ? vec{} + 88.0f : x;
    const vec shifted = x * 1.44269504f + kRound, n = shifted - kRound;
    const vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const ivec power = (ivec)shifted - kRoundBits;
    const vec result = p * (vec)((power + 127) << 23);
    return tiny ? vec{} : result;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// out = x / rms(x) * weight; weight null: 1.
inline void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
    const float scale = 1.0f / std::sqrt(dot(x, x, padded(n)) / static_cast<float>(n) + eps);
    for (int64_t i = 0; i < padded(n); i += LANES)
        store(out + i, weight ? load(x + i) * scale * load(weight + i) : load(x + i) * scale);
}

// gate = silu(gate) * up
inline void swiglu(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const vec g = load(gate + i);
        store(gate + i, g / (1.0f + exponential(-g)) * load(up + i));
    }
}

}  // namespace
