// Plain C++, for any machine.
#define LANES 4
#include "floats.hpp"

namespace {

template <int R, int T>
inline void ternary_tile(const uint8_t* tiles, int64_t block, int64_t chunks, const int8_t* x, int64_t stride,
                         const int32_t* sum, int64_t sums, int32_t* out) {
    for (int r = 0; r < R; ++r)
        for (int t = 0; t < T; ++t) {
            int32_t total[16][4] = {};
            for (int64_t c = 0; c < chunks; ++c) {
                const uint8_t* bytes = tiles + r * block + 64 * c;
                const int8_t* four = x + t * stride + 16 * c;
                for (int row = 0; row < 16; ++row)
                    for (int b = 0; b < 4; ++b) {
                        const int byte = bytes[4 * row + b];
                        total[row][b] += (byte & 3) * four[b] + (byte >> 2 & 3) * four[4 + b] +
                                         (byte >> 4 & 3) * four[8 + b] + (byte >> 6) * four[12 + b];
                    }
            }
            for (int row = 0; row < 16; ++row)
                out[16 * (t * R + r) + row] =
                    total[row][0] + total[row][1] + total[row][2] + total[row][3] - sum[t * sums];
        }
}

inline void int8_tile(const int8_t* tiles, int64_t chunks, const int8_t* high, const int8_t* low, const int32_t*,
                      float* out) {
    int32_t upper[16] = {}, lower[16] = {};
    for (int64_t c = 0; c < chunks; ++c)
        for (int row = 0; row < 16; ++row)
            for (int b = 0; b < 4; ++b) {
                const int w = tiles[64 * c + 4 * row + b];
                upper[row] += w * high[4 * c + b];
                lower[row] += w * low[4 * c + b];
            }
    for (int row = 0; row < 16; ++row) out[row] = 128.0f * static_cast<float>(upper[row]) + static_cast<float>(lower[row]);
}

bool here() { return true; }

}  // namespace

#define VARIANT portable_variant
#define VARIANT_NAME "portable"
#include "decode.hpp"
