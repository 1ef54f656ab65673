// What Python calls, through ctypes.
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "model.hpp"
#include "team.hpp"

namespace {

const Variant* const variants[] = {
#if defined(__x86_64__)
    &avx512_variant, &avx2_variant,
#elif defined(__aarch64__)
    &neon_variant,
#endif
    &portable_variant,
};

int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

float* zeros(int64_t count) {
    const size_t bytes = static_cast<size_t>(padded(larger(count, 1))) * sizeof(float);
    void* room = std::aligned_alloc(64, bytes);
    if (!room) std::abort();
    return static_cast<float*>(std::memset(room, 0, bytes));
}

struct Runner {
    State state;
    const Variant* variant;
};

struct Turn {
    Runner* runner;
    const int32_t* ids;
    int tokens;
    float* logits;
};

void take_turn(void* context, Team& team) {
    Turn& turn = *static_cast<Turn*>(context);
    turn.runner->variant->step(turn.runner->state, turn.ids, turn.tokens, turn.logits, team);
}

void learn_tokens(State& s) {  // the learned tokens' keys and values stand first in every window
    const Model& m = s.model;
    const int64_t wide = padded(m.head_size), places = int64_t{s.passes} * m.layers * m.kv_heads;
    for (int64_t place = 0; m.learned && place < places; ++place) {
        const Layer& layer = m.layer[place / m.kv_heads % m.layers];
        for (int64_t p = 0; p < m.learned; ++p)
            for (int64_t k = 0; k < m.head_size; ++k) {
                const int64_t from = (place % m.kv_heads * m.learned + p) * m.head_size + k;
                s.key[place * m.head_size * s.slots + p / 16 * 16 * m.head_size + k * 16 + p % 16] = layer.learned_key[from];
                s.value[(place * s.slots + p) * wide + k] = layer.learned_value[from];
            }
    }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// The names of the variants that this machine runs, the best first, with commas between.
const char* variants_here() {
    static char names[64];
    names[0] = 0;
    for (const Variant* variant : variants)
        if (variant->here()) std::strcat(std::strcat(names, *names ? "," : ""), variant->name);
    return names;
}

const Variant* variant_named(const char* name) {
    for (const Variant* variant : variants)
        if (!std::strcmp(variant->name, name) && variant->here()) return variant;
    return nullptr;
}

void ternary_matmul(const Variant* variant, const Linear* w, const int8_t* x, int64_t tokens, int32_t* out, int threads) {
    variant->ternary_matmul(*w, x, tokens, out, threads);
}

void linear(const Variant* variant, const Linear* w, const float* x, int64_t tokens, float* out, int threads) {
    variant->linear(*w, x, tokens, out, threads);
}

int64_t struct_sizes(int which) {
    const int64_t sizes[] = {sizeof(Linear), sizeof(Table), sizeof(Layer), sizeof(Halting), sizeof(Model)};
    return sizes[which];
}

Runner* decode_new(const Variant* variant, const Model* model, int chunk, int ranks) {
    Runner* runner = new Runner{{}, variant};
    State& s = runner->state;
    const Model& m = s.model = *model;
    s.chunk = chunk, s.ranks = ranks;
    s.ring = m.window ? m.window + chunk - 1 : m.context;
    s.slots = static_cast<int32_t>(padded(m.learned + s.ring));
    s.passes = m.steps == 0 ? 1 : m.recursion ? m.steps * m.cycles * m.inner : m.steps;
    s.d = padded(m.size), s.f = padded(m.intermediate);
    s.q = padded((m.heads + 2 * m.kv_heads) * m.head_size);
    for (float** room : {&s.x, &s.input, &s.y, &s.z}) *room = zeros(chunk * s.d);
    s.qkv = zeros(chunk * s.q), s.mixed = zeros(chunk * s.q), s.act = zeros(2 * chunk * s.f);
    s.bias = zeros(int64_t{chunk} * s.slots);
    s.live = reinterpret_cast<int32_t*>(zeros(int64_t{chunk} * (s.slots / 16 + 1)));
    s.cosine = zeros(chunk * m.head_size), s.sine = zeros(chunk * m.head_size);
    s.states = zeros(larger(m.steps, 1) * chunk * s.d), s.answer = zeros(s.d);
    const int64_t places = int64_t{s.passes} * m.layers * m.kv_heads;
    s.key = zeros(places * m.head_size * s.slots), s.value = zeros(places * padded(m.head_size) * s.slots);
    const int64_t widest = larger(larger(s.d, s.f), padded(m.head_size) + s.slots);
    s.scratch_size = padded(chunk * s.d + chunk * (widest + 1 + widest / 16 + widest / 4) + 4 * s.d + 64);
    s.scratch = zeros(s.scratch_size * ranks);
    learn_tokens(s);
    return runner;
}

void decode_free(Runner* runner) {
    State& s = runner->state;
    for (float* room : {s.x, s.input, s.y, s.z, s.qkv, s.mixed, s.act, s.bias, s.cosine, s.sine, s.states, s.answer,
                        s.key, s.value, s.scratch, reinterpret_cast<float*>(s.live)})
        std::free(room);
    delete runner;
}

void decode_reset(Runner* runner) { runner->state.length = 0; }

int64_t decode_length(const Runner* runner) { return runner->state.length; }

// `count` more tokens, in chunks; the logits of the last.
void decode_step(Runner* runner, const int32_t* ids, int64_t count, float* logits) {
    const int64_t chunk = runner->state.chunk;
    for (int64_t from = 0; from < count; from += chunk) {
        const int64_t tokens = count - from < chunk ? count - from : chunk;
        Turn turn{runner, ids + from, static_cast<int>(tokens), from + tokens == count ? logits : nullptr};
        run_team(runner->state.ranks, take_turn, &turn);
    }
}
}
#pragma GCC visibility pop
