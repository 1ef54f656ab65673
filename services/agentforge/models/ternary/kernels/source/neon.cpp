// NEON with the dot product instruction (ARMv8.2 and later). Never run in this project: no such machine was at hand.
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#define LANES 4
#include "floats.hpp"

namespace {

inline int8x16_t spread(const int8_t* four) {
    int32_t word;
    std::memcpy(&word, four, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

template <int R, int T>
inline void ternary_tile(const uint8_t* tiles, int64_t block, int64_t chunks, const int8_t* x, int64_t stride,
                         const int32_t* sum, int64_t sums, int32_t* out) {
    const uint8x16_t mask = vdupq_n_u8(3);
    for (int quarter = 0; quarter < 4 * R; ++quarter) {  // 4 rows
        const uint8_t* rows = tiles + quarter / 4 * block + quarter % 4 * 16;
        int32x4_t total[T];
        for (int t = 0; t < T; ++t) total[t] = vdupq_n_s32(-sum[t * sums]);  // code + 1 is multiplied
        for (int64_t c = 0; c < chunks; ++c) {
            uint8x16_t bytes = vld1q_u8(rows + 64 * c);
            for (int j = 0; j < 4; ++j, bytes = vshrq_n_u8(bytes, 2)) {
                const int8x16_t plane = vreinterpretq_s8_u8(vandq_u8(bytes, mask));
                for (int t = 0; t < T; ++t)
                    total[t] = vdotq_s32(total[t], plane, spread(x + t * stride + 16 * c + 4 * j));
            }
        }
        for (int t = 0; t < T; ++t) vst1q_s32(out + 16 * (t * R + quarter / 4) + quarter % 4 * 4, total[t]);
    }
}

inline void int8_tile(const int8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t*,
                      float* out) {
    for (int quarter = 0; quarter < 4; ++quarter) {
        int32x4_t upper = vdupq_n_s32(0), lower = upper;
        for (int64_t c = 0; c < chunks; ++c) {
            const int8x16_t w = vld1q_s8(tiles + 64 * c + 16 * quarter);
            upper = vdotq_s32(upper, w, spread(high + 4 * c));
            lower = vdotq_s32(lower, w, spread(low + 4 * c));
        }
        vst1q_f32(out + 4 * quarter, vfmaq_n_f32(vcvtq_f32_s32(lower), vcvtq_f32_s32(upper), 128.0f));
    }
}

bool here() {
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
    return true;  // every Apple chip has it
#endif
}

}  // namespace

#define VARIANT neon_variant
#define VARIANT_NAME "neon"
#include "decode.hpp"
#endif
