// AVX-512 VNNI: vpdpbusd multiplies bytes 0..2 (code + 1) with signed ones and adds four products to each int32 lane.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#include <immintrin.h>
#define LANES 16
#include "floats.hpp"

namespace {

inline __m512i spread(const int8_t* four) {
    int32_t word;
    std::memcpy(&word, four, 4);
    return _mm512_set1_epi32(word);
}

inline __m512i mask(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }

// R blocks of 16 rows times one token. Bits are masked and not shifted: plane j counts 4^j-fold, in a sum of its own.
template <int R>
inline void one_token(const uint8_t* tiles, int64_t block, int64_t chunks, const int8_t* x, int32_t sum, int32_t* out) {
    __m512i total[R][4];
    for (auto& r : total)
        for (auto& j : r) j = _mm512_setzero_si512();
    const __m512i masks[4] = {mask(0x03), mask(0x0c), mask(0x30), mask(0xc0)};
    for (int64_t c = 0; c < chunks; ++c)
        for (int r = 0; r < R; ++r) {
            const __m512i bytes = _mm512_loadu_si512(tiles + r * block + 64 * c);
            for (int j = 0; j < 4; ++j) {
                const __m512i plane = _mm512_and_si512(bytes, masks[j]);
                total[r][j] = _mm512_dpbusd_epi32(total[r][j], plane, spread(x + 16 * c + 4 * j));
            }
        }
    for (int r = 0; r < R; ++r) {
        const __m512i low = _mm512_add_epi32(total[r][0], _mm512_srai_epi32(total[r][1], 2));
        const __m512i high = _mm512_add_epi32(_mm512_srai_epi32(total[r][2], 4), _mm512_srai_epi32(total[r][3], 6));
        const __m512i one = _mm512_set1_epi32(sum);  // code + 1 was multiplied
        _mm512_storeu_si512(out + 16 * r, _mm512_sub_epi32(_mm512_add_epi32(low, high), one));
    }
}

// R blocks of 16 rows times T tokens, which share the work of unpacking.
template <int R, int T>
inline void ternary_tile(const uint8_t* tiles, int64_t block, int64_t chunks, const int8_t* x, int64_t stride,
                         const int32_t* sum, int64_t sums, int32_t* out) {
    if constexpr (T == 1) return one_token<R>(tiles, block, chunks, x, *sum, out);
    __m512i total[T][R];
    for (int t = 0; t < T; ++t)
        for (auto& r : total[t]) r = _mm512_set1_epi32(-sum[t * sums]);  // code + 1 is multiplied
    for (int64_t c = 0; c < chunks; ++c) {
        __m512i bytes[R];
        for (int r = 0; r < R; ++r) bytes[r] = _mm512_loadu_si512(tiles + r * block + 64 * c);
        for (int j = 0; j < 4; ++j) {
            __m512i plane[R];
            for (int r = 0; r < R; ++r) {
                plane[r] = _mm512_and_si512(bytes[r], mask(0x03));
                bytes[r] = _mm512_srli_epi16(bytes[r], 2);
            }
            for (int t = 0; t < T; ++t) {
                const __m512i four = spread(x + t * stride + 16 * c + 4 * j);
                for (int r = 0; r < R; ++r) total[t][r] = _mm512_dpbusd_epi32(total[t][r], plane[r], four);
            }
        }
    }
    for (int t = 0; t < T; ++t)
        for (int r = 0; r < R; ++r) _mm512_storeu_si512(out + 16 * (t * R + r), total[t][r]);
}

// 16 rows times one token in two halves, x = 128 high + low.
inline void int8_tile(const int8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t* sum,
                      float* out) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));  // signed to unsigned: + 128
    __m512i upper = _mm512_set1_epi32(-128 * sum[0]), lower = _mm512_set1_epi32(-128 * sum[1]);
    __m512i upper_odd = _mm512_setzero_si512(), lower_odd = upper_odd;
    for (int64_t c = 0; c < chunks; c += 2) {  // of 4 columns: always an even number
        const __m512i even = _mm512_xor_si512(_mm512_loadu_si512(tiles + 64 * c), flip);
        const __m512i odd = _mm512_xor_si512(_mm512_loadu_si512(tiles + 64 * c + 64), flip);
        upper = _mm512_dpbusd_epi32(upper, even, spread(high + 4 * c));
        lower = _mm512_dpbusd_epi32(lower, even, spread(low + 4 * c));
        upper_odd = _mm512_dpbusd_epi32(upper_odd, odd, spread(high + 4 * c + 4));
        lower_odd = _mm512_dpbusd_epi32(lower_odd, odd, spread(low + 4 * c + 4));
    }
    upper = _mm512_add_epi32(upper, upper_odd), lower = _mm512_add_epi32(lower, lower_odd);
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(upper), _mm512_set1_ps(128.0f), _mm512_cvtepi32_ps(lower));
    _mm512_storeu_ps(out, both);
}

bool here() { return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"); }

}  // namespace

#define VARIANT avx512_variant
#define VARIANT_NAME "avx512"
#include "decode.hpp"
#endif
