// 16 rows of a 4-bit table times one token in two halves, x = 128 high + low: each variant's own.
// A byte's nibbles are codes 0..14, 7 too many, which `sum`, of the two halves of x, takes off again.
#pragma once
#include "floats.hpp"

#if LANES == 4 && defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

namespace {

#if LANES == 16

// The upper nibbles are masked and not shifted: they count 16-fold, in sums of their own.
inline void nibble_tile(const uint8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t* sum,
                        float* out) {
    const __m512i mask = _mm512_set1_epi8(0x0f), shifted = _mm512_set1_epi8(static_cast<char>(0xf0));
    __m512i upper = _mm512_set1_epi32(-7 * sum[0]), lower = _mm512_set1_epi32(-7 * sum[1]);
    __m512i upper16 = _mm512_setzero_si512(), lower16 = upper16;
    for (int64_t c = 0; c < chunks; ++c) {
        const __m512i bytes = _mm512_loadu_si512(tiles + 64 * c);
        const __m512i first = _mm512_and_si512(bytes, mask), second = _mm512_and_si512(bytes, shifted);
        upper = _mm512_dpbusd_epi32(upper, first, spread(high + 8 * c));
        lower = _mm512_dpbusd_epi32(lower, first, spread(low + 8 * c));
        upper16 = _mm512_dpbusd_epi32(upper16, second, spread(high + 8 * c + 4));
        lower16 = _mm512_dpbusd_epi32(lower16, second, spread(low + 8 * c + 4));
    }
    upper = _mm512_add_epi32(upper, _mm512_srai_epi32(upper16, 4));
    lower = _mm512_add_epi32(lower, _mm512_srai_epi32(lower16, 4));
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(upper), _mm512_set1_ps(128.0f), _mm512_cvtepi32_ps(lower));
    _mm512_storeu_ps(out, both);
}

#elif LANES == 8

// Four products in 16 bits: 4 * 14 * 127 fits.
inline __m256i nibble_products(__m256i first, __m256i second, const int8_t* x) {
    const __m256i pairs =
        _mm256_add_epi16(_mm256_maddubs_epi16(first, spread(x)), _mm256_maddubs_epi16(second, spread(x + 4)));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

inline void nibble_tile(const uint8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t* sum,
                        float* out) {
    const __m256i mask = _mm256_set1_epi8(0x0f);
    for (int half = 0; half < 2; ++half) {
        __m256i upper = _mm256_set1_epi32(-7 * sum[0]), lower = _mm256_set1_epi32(-7 * sum[1]);
        for (int64_t c = 0; c < chunks; ++c) {
            const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tiles + 64 * c + 32 * half));
            const __m256i first = _mm256_and_si256(bytes, mask);
            const __m256i second = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
            upper = _mm256_add_epi32(upper, nibble_products(first, second, high + 8 * c));
            lower = _mm256_add_epi32(lower, nibble_products(first, second, low + 8 * c));
        }
        const __m256 both =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(upper), _mm256_set1_ps(128.0f), _mm256_cvtepi32_ps(lower));
        _mm256_storeu_ps(out + 8 * half, both);
    }
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

inline int8x16_t four_times(const int8_t* four) {
    int32_t word;
    std::memcpy(&word, four, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

inline void nibble_tile(const uint8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t* sum,
                        float* out) {
    for (int quarter = 0; quarter < 4; ++quarter) {
        int32x4_t upper = vdupq_n_s32(-7 * sum[0]), lower = vdupq_n_s32(-7 * sum[1]);
        for (int64_t c = 0; c < chunks; ++c) {
            const uint8x16_t bytes = vld1q_u8(tiles + 64 * c + 16 * quarter);
            const int8x16_t first = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
            const int8x16_t second = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
            upper = vdotq_s32(vdotq_s32(upper, first, four_times(high + 8 * c)), second, four_times(high + 8 * c + 4));
            lower = vdotq_s32(vdotq_s32(lower, first, four_times(low + 8 * c)), second, four_times(low + 8 * c + 4));
        }
        vst1q_f32(out + 4 * quarter, vfmaq_n_f32(vcvtq_f32_s32(lower), vcvtq_f32_s32(upper), 128.0f));
    }
}

#else

inline void nibble_tile(const uint8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t* sum,
                        float* out) {
    for (int row = 0; row < 16; ++row) {
        int32_t upper = -7 * sum[0], lower = -7 * sum[1];
        for (int64_t c = 0; c < chunks; ++c)
            for (int b = 0; b < 4; ++b) {
                const int byte = tiles[64 * c + 4 * row + b], first = byte & 15, second = byte >> 4;
                upper += first * high[8 * c + b] + second * high[8 * c + 4 + b];
                lower += first * low[8 * c + b] + second * low[8 * c + 4 + b];
            }
        out[row] = 128.0f * static_cast<float>(upper) + static_cast<float>(lower);
    }
}

#endif

}  // namespace
