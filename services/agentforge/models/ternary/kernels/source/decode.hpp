// One step of a whole model for a few new tokens, by all ranks of a team. Included once by each variant.
// Shapes: T new tokens, D hidden size, S slots of the window, K head size; rows padded to 16.
#pragma once
#include "call.hpp"
#include "memory.hpp"
#include "table.hpp"

namespace {

struct Step {
    State& s;
    const Model& m;
    const Team& team;
    int64_t tokens;
    Scratch room;
    float* h;  // (T, D), this rank's own

    Step(State& state, int64_t count, const Team& t)
        : s(state), m(state.model), team(t), tokens(count),
          room(state.scratch + t.rank * state.scratch_size + state.chunk * state.d, state.chunk,
               state.d > state.f ? state.d : state.f),
          h(state.scratch + t.rank * state.scratch_size) {}

    // Positions, rotary angles and who sees whom, (T, S) of 0 and -inf: the same for all layers.
    void place() {
        const int64_t pairs = m.head_size / 2, window = m.window ? m.window : m.context;
        for (int64_t t = 0; t < tokens; ++t) {
            const int64_t now = s.length + t;
            for (int64_t k = 0; k < pairs; ++k) {
                const float angle = static_cast<float>(now) * m.frequency[k];
                s.cosine[t * pairs + k] = std::cos(angle) * m.rotary_scale;
                s.sine[t * pairs + k] = std::sin(angle) * m.rotary_scale;
            }
            float* bias = s.bias + t * s.slots;
            for (int64_t slot = 0; slot < s.slots; ++slot) bias[slot] = slot < m.learned ? 0.0f : -INFINITY;
            for (int64_t p = now < window ? 0 : now - window + 1; p <= now; ++p) bias[m.learned + p % s.ring] = 0.0f;
            int32_t* live = s.live + t * (s.slots / 16 + 1);
            live[0] = 0;
            for (int32_t at = 0; at < s.slots; at += 16)
                for (int64_t slot = at; slot < at + 16; ++slot)
                    if (bias[slot] == 0.0f) {
                        live[++live[0]] = at;
                        break;
                    }
        }
    }

    void rotate(const float* from, int64_t t, float* to) const {
        const int64_t pairs = m.head_size / 2;
        const float *cosine = s.cosine + t * pairs, *sine = s.sine + t * pairs;
        for (int64_t k = 0; k < pairs; ++k) {
            const float left = from[k], right = from[pairs + k];
            to[k] = left * cosine[k] - right * sine[k];
            to[pairs + k] = right * cosine[k] + left * sine[k];
        }
    }

    // This rank's kv heads: rotate and keep the keys, keep the values, answer the queries that share them.
    void attention(int64_t layer, int64_t pass) {
        const int64_t size = m.head_size, wide = padded(size), alike = m.heads / m.kv_heads;
        const float scale = 1.0f / std::sqrt(static_cast<float>(size));
        const Share heads = team.share(m.kv_heads);
        for (int64_t g = heads.first; g < heads.last; ++g) {
            const int64_t place = (pass * m.layers + layer) * m.kv_heads + g;
            float *key = s.key + place * size * s.slots, *value = s.value + place * s.slots * wide;
            float *turned = room.normed, *score = turned + wide;
            for (int64_t t = 0; t < tokens; ++t) {
                const float* new_key = s.qkv + t * s.q + (m.heads + g) * size;
                const int64_t slot = m.learned + (s.length + t) % s.ring;
                rotate(new_key, t, turned);
                for (int64_t k = 0; k < size; ++k) key[slot / 16 * 16 * size + k * 16 + slot % 16] = turned[k];
                std::memcpy(value + slot * wide, new_key + m.kv_heads * size, static_cast<size_t>(size) * 4);
            }
            for (int64_t t = 0; t < tokens; ++t)
                for (int64_t head = g * alike; head < (g + 1) * alike; ++head) {
                    rotate(s.qkv + t * s.q + head * size, t, turned);
                    for (int64_t k = 0; k < size; ++k) turned[k] *= scale;
                    const int32_t* live = s.live + t * (s.slots / 16 + 1);
                    const Ask ask{turned, s.bias + t * s.slots, score, score, s.mixed + t * s.q + head * size};
                    attend<1>(&ask, {key, value, live + 1, *live, size});
                }
        }
    }

    void norm_all(const float* x, const float* weight, float eps, float* out) const {
        for (int64_t t = 0; t < tokens; ++t) rms_norm(x + t * s.d, weight, eps, m.size, out + t * s.d);
    }

    // x through all layers, in place.
    void pass(int64_t index) {
        for (int64_t l = 0; l < m.layers; ++l) {
            const Layer& layer = m.layer[l];
            Recall recall(s, l, team, tokens);
            const bool writes = index == 0;  // once for each token; later passes only read
            norm_all(s.x, layer.attention_norm, m.eps, h);
            int64_t row = 0;
            for (int part = 0; part < m.qkv_parts; row += layer.qkv[part++].rows)
                apply(layer.qkv[part], h, s.d, tokens, {s.qkv + row, s.q, false}, team, room);
            if (layer.memory.there) recall.project(h, writes, room);
            team.wait();
            attention(l, index);
            if (layer.memory.there) recall.consult(writes, room.normed);
            team.wait();
            if (layer.memory.there && writes) recall.judge();
            if (layer.memory.there) recall.blend(layer.o, h, room);
            else apply(layer.o, s.mixed, s.q, tokens, {s.x, s.d, true}, team, room);
            team.wait();
            if (layer.memory.there && writes && team.rank == 0) recall.write();
            norm_all(s.x, layer.mlp_norm, m.eps, h);
            float* up = s.act + s.chunk * s.f;
            apply(layer.gate, h, s.d, tokens, {s.act, s.f, false}, team, room);
            apply(layer.up, h, s.d, tokens, {up, s.f, false}, team, room);
            const Share blocks = team.share(s.f / 16);
            for (int64_t t = 0; t < tokens; ++t) {
                const int64_t from = t * s.f + 16 * blocks.first;
                swiglu(s.act + from, up + from, 16 * (blocks.last - blocks.first));
            }
            team.wait();
            apply(layer.down, s.act, s.f, tokens, {s.x, s.d, true}, team, room);
            team.wait();
        }
    }

    // x = the sum of some states, of which some may be missing.
    void gather(const float* a, const float* b, const float* c) {
        const Share mine = team.share(tokens * s.d);
        for (int64_t i = mine.first; i < mine.last; ++i) s.x[i] = a[i] + (b ? b[i] : 0.0f) + (c ? c[i] : 0.0f);
        team.wait();
    }

    void add(float* to, const float* from, float scale) {
        const Share mine = team.share(tokens * s.d);
        for (int64_t i = mine.first; i < mine.last; ++i) to[i] += scale * from[i];
        team.wait();
    }

    float* state(int64_t step) { return s.states + step * s.chunk * s.d; }

    void think() {
        if (m.steps == 0) {
            gather(s.input, nullptr, nullptr);
            pass(0);
            return gather_state(0, s.x);
        }
        int64_t index = 0;
        for (int64_t step = 0; step < m.steps; ++step) {
            if (!m.recursion) {
                gather(s.input, s.y, nullptr);
                pass(index++);
                norm_all(s.x, nullptr, kTiny, h);
                add(s.y, h, m.step_scale[step]);
            }
            for (int64_t cycle = 0; cycle < (m.recursion ? m.cycles : 0); ++cycle) reason(index, m.step_scale[step]);
            gather_state(step, s.y);
        }
    }

    void reason(int64_t& index, float scale) {
        for (int64_t n = 0; n < m.inner; ++n) {
            gather(s.input, s.y, s.z);
            pass(index++);
            if (team.rank == 0) norm_all(s.x, nullptr, kTiny, s.z);
            team.wait();
        }
        apply(m.consolidate, s.z, s.d, tokens, {s.x, s.d, false}, team, room);
        team.wait();
        add(s.y, s.x, scale);
    }

    void gather_state(int64_t step, const float* from) {
        const Share mine = team.share(tokens * s.d);
        for (int64_t i = mine.first; i < mine.last; ++i) state(step)[i] = from[i];
        team.wait();
    }

    float halt(const float* x, int64_t step) {  // probability to stop after this step
        const Halting& halting = m.halting;
        const int64_t rank = halting.features.rows / 2;
        float* features = h + s.d;
        rms_norm(x, m.norm, m.eps, m.size, h);
        const Team alone{0, 1, nullptr};
        apply(halting.features, h, s.d, 1, {features, 0, false}, alone, room);
        float quadratic = 0;
        for (int64_t i = 0; i < rank; ++i) quadratic += features[i] * sigmoid(features[i]) * features[rank + i];
        const float linear = dot(h, halting.direct, s.d);
        const float evidence = halting.gain[0] * quadratic / static_cast<float>(rank) + halting.gain[1] * linear;
        const float logit = halting.step_gain[step] * evidence + halting.step_bias[step] + halting.direct_bias;
        return sigmoid(logit);
    }

    // Graves' mean of the last token's states, its norm, and the head.
    void answer(float* logits) {
        const int64_t last = (tokens - 1) * s.d, steps = m.halts ? m.steps : 1, chosen = m.steps ? m.steps - 1 : 0;
        if (team.rank == 0) {
            for (int64_t i = 0; i < s.d; ++i) s.answer[i] = m.halts ? 0.0f : state(chosen)[last + i];
            float before = 0;
            for (int64_t step = 0; m.halts && step < steps; ++step) {
                const float p = step + 1 < steps ? halt(state(step) + last, step) : 1.0f;
                const bool stops = step + 1 == steps || before + p >= m.halting.threshold;
                const float share = stops ? 1.0f - before : p;
                for (int64_t i = 0; i < s.d; ++i) s.answer[i] += share * state(step)[last + i];
                if (stops) break;
                before += p;
            }
        }
        team.wait();
        rms_norm(s.answer, m.norm, m.eps, m.size, h);
        table_product(m.head, h, logits, team, room.x);
        team.wait();
    }

    void embed(const int32_t* ids) {
        place();
        for (int64_t t = 0; t < tokens; ++t) {
            table_row(m.embedding, ids[t], s.input + t * s.d);
            if (m.normalise_input) rms_norm(s.input + t * s.d, nullptr, kTiny, m.size, s.input + t * s.d);
            for (int64_t i = 0; i < s.d; ++i) {
                s.y[t * s.d + i] = m.start && i < m.size ? m.start[i] : 0.0f;
                s.z[t * s.d + i] = m.start && i < m.size ? m.start[m.size + i] : 0.0f;
            }
        }
    }
};

void step(State& s, const int32_t* ids, int tokens, float* logits, Team& team) {
    Step now(s, tokens, team);
    if (team.rank == 0) now.embed(ids);
    team.wait();
    now.think();
    if (logits) now.answer(logits);
    if (team.rank == 0) s.length += tokens;
}

}  // namespace

extern const Variant VARIANT;
const Variant VARIANT = {VARIANT_NAME, here, ternary_matmul, linear, step};
