// AVX2: vpmaddubsw adds two products of a byte 0..2 and a signed one in 16 bits: 512 at most, so 64 of them fit.
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define LANES 8
#include "floats.hpp"

namespace {

inline __m256i spread(const int8_t* four) {
    int32_t word;
    std::memcpy(&word, four, 4);
    return _mm256_set1_epi32(word);
}

template <int R, int T>
inline void ternary_tile(const uint8_t* tiles, int64_t block, int64_t chunks, const int8_t* x, int64_t stride,
                         const int32_t* sum, int64_t sums, int32_t* out) {
    constexpr int64_t kFit = 16;  // chunks of 4 additions
    const __m256i mask = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
    for (int half = 0; half < 2 * R; ++half) {  // 8 rows
        const uint8_t* rows = tiles + half / 2 * block + half % 2 * 32;
        __m256i total[T];
        for (int t = 0; t < T; ++t) total[t] = _mm256_set1_epi32(-sum[t * sums]);  // code + 1 is multiplied
        for (int64_t from = 0; from < chunks; from += kFit) {
            __m256i part[T];
            for (auto& p : part) p = _mm256_setzero_si256();
            for (int64_t c = from; c < chunks && c < from + kFit; ++c) {
                __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + 64 * c));
                for (int j = 0; j < 4; ++j, bytes = _mm256_srli_epi16(bytes, 2)) {
                    const __m256i plane = _mm256_and_si256(bytes, mask);
                    for (int t = 0; t < T; ++t)
                        part[t] = _mm256_add_epi16(
                            part[t], _mm256_maddubs_epi16(plane, spread(x + t * stride + 16 * c + 4 * j)));
                }
            }
            for (int t = 0; t < T; ++t) total[t] = _mm256_add_epi32(total[t], _mm256_madd_epi16(part[t], ones));
        }
        for (int t = 0; t < T; ++t)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 16 * (t * R + half / 2) + half % 2 * 8), total[t]);
    }
}

// Signs move to the weights, because vpmaddubsw wants one side unsigned: 2 * 127 * 127 fits in 16 bits.
inline __m256i products(__m256i w, __m256i x) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

inline void int8_tile(const int8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t*,
                      float* out) {
    for (int half = 0; half < 2; ++half) {
        __m256i upper = _mm256_setzero_si256(), lower = upper;
        for (int64_t c = 0; c < chunks; ++c) {
            const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tiles + 64 * c + 32 * half));
            upper = _mm256_add_epi32(upper, products(w, spread(high + 4 * c)));
            lower = _mm256_add_epi32(lower, products(w, spread(low + 4 * c)));
        }
        const __m256 both =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(upper), _mm256_set1_ps(128.0f), _mm256_cvtepi32_ps(lower));
        _mm256_storeu_ps(out + 8 * half, both);
    }
}

bool here() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

#define VARIANT avx2_variant
#define VARIANT_NAME "avx2"
#include "decode.hpp"
#endif
