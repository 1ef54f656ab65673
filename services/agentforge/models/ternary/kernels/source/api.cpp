// What Python calls, through ctypes.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <vector>

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

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

struct Runner {
    State state;
    const Variant* variant;
    std::vector<Store> stores;
    std::vector<void*> rooms;

    float* zeros(int64_t count) {
        const size_t bytes = static_cast<size_t>(padded(larger(count, 1))) * sizeof(float);
        rooms.push_back(std::aligned_alloc(64, bytes));
        if (!rooms.back()) std::abort();
        return static_cast<float*>(std::memset(rooms.back(), 0, bytes));
    }
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

// The learned entries stand first in every memory.
void make_store(Runner& runner, int64_t layer) {
    State& s = runner.state;
    const Model& m = s.model;
    const Memory& memory = m.layer[layer].memory;
    Store& store = s.store[layer];
    const int64_t chunk = m.remembering.chunk, learned = m.remembering.learned, wide = padded(m.head_size);
    store.key = runner.zeros(int64_t{m.heads} * m.head_size * s.places);
    store.value = runner.zeros(m.heads * wide * s.places);
    for (float** room : {&store.mask, &store.norm, &store.score, &store.order, &store.position})
        *room = runner.zeros(s.places);
    store.new_key = runner.zeros(chunk * s.d), store.new_value = runner.zeros(chunk * s.d);
    store.new_score = runner.zeros(chunk), store.new_order = runner.zeros(chunk);
    for (int64_t slot = 0; slot < s.places; ++slot) store.norm[slot] = 1.0f;  // of none, so that nothing divides by 0
    for (int64_t i = 0; i < learned; ++i) {
        const float *key = memory.initial + i * m.size, *value = key + learned * m.size;
        float sum = 0;
        for (int64_t k = 0; k < m.size; ++k) {
            const int64_t head = k / m.head_size, own = k % m.head_size;
            store.key[head * m.head_size * s.places + i / 16 * 16 * m.head_size + own * 16 + i % 16] = key[k];
            store.value[(head * s.places + i) * wide + own] = value[k];
            sum += key[k] * key[k];
        }
        store.norm[i] = std::fmax(std::sqrt(sum), 1e-6f);
    }
}

void forget(State& s, int64_t layer) {  // all but the learned entries
    Store& store = s.store[layer];
    store.count = 0, store.momentum = 0;
    if (!s.model.layer[layer].memory.there) return;
    for (int64_t slot = 0; slot < s.places; ++slot)
        store.mask[slot] = slot < s.model.remembering.learned ? 0.0f : -INFINITY;
}

void make_states(Runner& runner) {
    State& s = runner.state;
    const Model& m = s.model;
    for (float** room : {&s.x, &s.input, &s.y, &s.z}) *room = runner.zeros(s.chunk * s.d);
    s.qkv = runner.zeros(s.chunk * s.q), s.mixed = runner.zeros(s.chunk * s.q);
    s.act = runner.zeros(2 * s.chunk * s.f), s.bias = runner.zeros(int64_t{s.chunk} * s.slots);
    s.live = reinterpret_cast<int32_t*>(runner.zeros(int64_t{s.chunk} * (s.slots / 16 + 1)));
    s.cosine = runner.zeros(s.chunk * m.head_size), s.sine = runner.zeros(s.chunk * m.head_size);
    s.states = runner.zeros(larger(m.steps, 1) * s.chunk * s.d), s.answer = runner.zeros(s.d);
    const int64_t places = int64_t{s.passes} * m.layers * m.kv_heads;
    s.key = runner.zeros(places * m.head_size * s.slots);
    s.value = runner.zeros(places * padded(m.head_size) * s.slots);
}

void make_memories(Runner& runner) {
    State& s = runner.state;
    const Model& m = s.model;
    runner.stores.resize(static_cast<size_t>(m.layers));
    s.store = runner.stores.data();
    if (!m.remembering.chunk) return;
    s.places = static_cast<int32_t>(padded(m.remembering.learned) + padded(m.remembering.slots));
    s.blocks = reinterpret_cast<int32_t*>(runner.zeros(s.places / 16));
    for (int32_t b = 0; b < s.places / 16; ++b) s.blocks[b] = 16 * b;
    for (float** room : {&s.memory_q, &s.recalled, &s.read, &s.attended, &s.told}) *room = runner.zeros(s.chunk * s.d);
    s.memory_kv = runner.zeros(2 * s.chunk * s.d), s.judged = runner.zeros(int64_t{s.chunk} * m.heads * s.places);
    s.surprise = runner.zeros(s.chunk), s.novelty = runner.zeros(s.chunk), s.gate = runner.zeros(16 * s.chunk);
    for (int64_t layer = 0; layer < m.layers; ++layer)
        if (m.layer[layer].memory.there) make_store(runner, layer);
}

// How many of the tokens to come go through together: they stay within one chunk of the memory.
int64_t fitting(const State& s, int64_t count) {
    const int64_t chunk = s.model.remembering.chunk;
    const int64_t most = chunk ? smaller(s.chunk, chunk - s.length % chunk) : s.chunk;
    return smaller(count, most);
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

void decode_reset(Runner* runner) {
    runner->state.length = 0;
    for (int64_t layer = 0; layer < runner->state.model.layers; ++layer) forget(runner->state, layer);
}

int64_t struct_sizes(int which) {
    const int64_t sizes[] = {sizeof(Linear),  sizeof(Table),       sizeof(Memory), sizeof(Layer),
                             sizeof(Halting), sizeof(Remembering), sizeof(Model)};
    return sizes[which];
}

Runner* decode_new(const Variant* variant, const Model* model, int chunk, int ranks) {
    Runner* runner = new Runner{{}, variant, {}, {}};
    State& s = runner->state;
    const Model& m = s.model = *model;
    s.chunk = chunk, s.ranks = ranks;
    s.ring = m.window ? m.window + chunk - 1 : m.context;
    s.slots = static_cast<int32_t>(padded(m.learned + s.ring));
    s.passes = m.steps == 0 ? 1 : m.recursion ? m.steps * m.cycles * m.inner : m.steps;
    s.d = padded(m.size), s.f = padded(m.intermediate);
    s.q = padded((m.heads + 2 * m.kv_heads) * m.head_size);
    make_states(*runner);
    make_memories(*runner);
    const int64_t widest = larger(larger(s.d, s.f), padded(m.head_size) + s.slots);
    const int64_t layers = chunk * (widest + 1 + widest / 16 + widest / 4) + 4 * s.d;
    s.scratch_size = padded(chunk * s.d + larger(layers, 4 * (padded(m.head_size) + s.places)) + 64);
    s.scratch = runner->zeros(s.scratch_size * ranks);
    learn_tokens(s);
    decode_reset(runner);
    return runner;
}

void decode_free(Runner* runner) {
    for (void* room : runner->rooms) std::free(room);
    delete runner;
}

int64_t decode_length(const Runner* runner) { return runner->state.length; }

// `count` more tokens, in chunks; the logits of the last.
void decode_step(Runner* runner, const int32_t* ids, int64_t count, float* logits) {
    for (int64_t from = 0, tokens; from < count; from += tokens) {
        tokens = fitting(runner->state, count - from);
        Turn turn{runner, ids + from, static_cast<int>(tokens), from + tokens == count ? logits : nullptr};
        run_team(runner->state.ranks, take_turn, &turn);
    }
}
}
#pragma GCC visibility pop
