// Single layers as torch calls them: inputs without padding, room made for the call.
#pragma once
#include <cstdlib>

#include "linear.hpp"

namespace {

struct Call {
    const Linear& w;
    const float* x;
    const int8_t* whole;
    int64_t tokens;
    float* out;
    int32_t* whole_out;
    Tokens q;
    float* floats;  // (tokens, padded columns), where x is float
};

void quantise_share(const Call& call, const Team& team) {
    const int64_t n = padded(call.w.columns), groups = groups_of(call.w);
    const Share mine = team.share(call.tokens);
    for (int64_t t = mine.first; t < mine.last; ++t) {
        float* row = call.floats + t * n;
        std::memcpy(row, call.x + t * call.w.columns, static_cast<size_t>(call.w.columns) * 4);
        if (call.w.norm) rms_norm(row, nullptr, kTiny, call.w.columns, row);
        quantise(row, n, call.w.group, groups, call.q.x + t * n, call.q.scale + t, call.q.sum + t * groups);
    }
}

void arrange_share(const Call& call, const Team& team) {
    const int64_t n = padded(call.w.columns);
    const Share mine = team.share(call.tokens);
    for (int64_t t = mine.first; t < mine.last; ++t) {
        const int8_t* row = call.whole + t * call.w.columns;
        int32_t sum = 0;
        for (int64_t k = 0; k < call.w.columns; ++k) sum += row[k];
        call.q.sum[t] = sum;
        for (int64_t k = 0; k < n; k += 16) {
            int8_t some[16] = {};
            std::memcpy(some, row + k, static_cast<size_t>(smaller(16, call.w.columns - k)));
            arrange(some, call.q.x + t * n + k);
        }
    }
}

void work(void* context, Team& team) {
    const Call& call = *static_cast<Call*>(context);
    call.x ? quantise_share(call, team) : arrange_share(call, team);
    team.wait();
    const Share blocks = team.share(padded(call.w.rows) / 16);
    if (call.x) return scaled(call.w, call.q, call.tokens, blocks, {call.out, call.w.rows, false});
    products(call.w, call.q, call.tokens, blocks, [&](int64_t t, int64_t b, int64_t, const int32_t* whole) {
        const size_t width = static_cast<size_t>(smaller(16, call.w.rows - 16 * b));
        std::memcpy(call.whole_out + t * call.w.rows + 16 * b, whole, 4 * width);
    });
}

void run(Call call, int threads) {
    const int64_t n = padded(call.w.columns), groups = groups_of(call.w);
    const int64_t floats = call.x ? n : 0;  // padding must be zero
    char* room = static_cast<char*>(std::calloc(static_cast<size_t>(call.tokens), 4 * floats + n + 4 * groups + 4));
    if (!room) std::abort();
    call.floats = reinterpret_cast<float*>(room);
    call.q.scale = call.floats + call.tokens * floats;
    call.q.sum = reinterpret_cast<int32_t*>(call.q.scale + call.tokens);
    call.q.x = reinterpret_cast<int8_t*>(call.q.sum + call.tokens * groups);
    call.q.stride = n;
    run_team(threads, work, &call);
    std::free(room);
}

void ternary_matmul(const Linear& w, const int8_t* x, int64_t tokens, int32_t* out, int threads) {
    run({w, nullptr, x, tokens, nullptr, out, {}, nullptr}, threads);
}

void linear(const Linear& w, const float* x, int64_t tokens, float* out, int threads) {
    run({w, x, nullptr, tokens, out, nullptr, {}, nullptr}, threads);
}

}  // namespace
