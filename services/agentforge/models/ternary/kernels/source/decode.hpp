// One step of a whole model for a few new tokens, by all ranks of a team. Included once by each variant.
// Shapes: T new tokens, D hidden size, S slots of the window, K head size; rows padded to 16.
#pragma once
#include <cstdlib>

#include "linear.hpp"

namespace {

struct Step {
    State& s;
    const Model& m;
    const Team& team;
    int64_t tokens;
    Scratch room;
    float* h;              // (T, D), this rank's own

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

    void attend(const float* query, int64_t t, const float* key, const float* value, float* score, float* out) {
        const int64_t wide = padded(m.head_size);
        const float* bias = s.bias + t * s.slots;
        const int32_t *live = s.live + t * (s.slots / 16 + 1), blocks = *live++;
        vec most = vec{} - INFINITY;
        for (int64_t b = 0; b < blocks; ++b)
            for (int i = 0; i < 16; i += LANES) {
                vec sum[2] = {};
                const float* keys = key + live[b] * int64_t{m.head_size} + i;
                for (int64_t k = 0; k < m.head_size; k += 2) {
                    sum[0] += query[k] * load(keys + 16 * k);
                    sum[1] += query[k + 1] * load(keys + 16 * k + 16);
                }
                const vec all = sum[0] + sum[1] + load(bias + live[b] + i);
                store(score + 16 * b + i, all);
                most = all > most ? all : most;
            }
        float peak = most[0];
        for (int i = 1; i < LANES; ++i) peak = most[i] > peak ? most[i] : peak;
        vec share = {};
        for (int64_t at = 0; at < 16 * blocks; at += LANES) {
            const vec weight = exponential(load(score + at) - peak);
            share += weight;
            store(score + at, weight);
        }
        const float scale = 1.0f / total(share);
        int64_t k = 0;
        for (; k + 64 <= wide; k += 64) mix<4>(live, blocks, value + k, score, scale, m.head_size - k, out + k);
        for (; k < wide; k += 16) mix<1>(live, blocks, value + k, score, scale, m.head_size - k, out + k);
    }

    // out = the mean of the values by their weights, for 16 * W columns of which `width` at most are wanted.
    template <int W>
    void mix(const int32_t* live, int64_t blocks, const float* value, const float* weight, float scale, int64_t width,
             float* out) const {
        constexpr int kVectors = W * 16 / LANES;
        const int64_t wide = padded(m.head_size);
        vec sum[kVectors] = {};
        for (int64_t b = 0; b < blocks; ++b)
            for (int64_t slot = 0; slot < 16; ++slot) {
                const float* from = value + (live[b] + slot) * wide;
                for (int i = 0; i < kVectors; ++i) sum[i] += weight[16 * b + slot] * load(from + i * LANES);
            }
        float part[16 * W];
        for (int i = 0; i < kVectors; ++i) store(part + i * LANES, sum[i] * scale);
        std::memcpy(out, part, static_cast<size_t>(4 * smaller(16 * W, width)));
    }

    // This rank's kv heads: rotate and keep the keys, keep the values, answer the queries that share them.
    void attention(int64_t layer, int64_t pass) {
        const int64_t size = m.head_size, wide = padded(size), alike = m.heads / m.kv_heads;
        const float scale = 1.0f / std::sqrt(static_cast<float>(size));
        const Share heads = team.share(m.kv_heads);
        for (int64_t g = heads.first; g < heads.last; ++g) {
            const int64_t place = (pass * m.layers + layer) * m.kv_heads + g;
            float *key = s.key + place * size * s.slots, *value = s.value + place * s.slots * wide;
            for (int64_t t = 0; t < tokens; ++t) {
                const float* new_key = s.qkv + t * s.q + (m.heads + g) * size;
                const int64_t slot = m.learned + (s.length + t) % s.ring;
                float* turned = room.normed;
                rotate(new_key, t, turned);
                for (int64_t k = 0; k < size; ++k) key[slot / 16 * 16 * size + k * 16 + slot % 16] = turned[k];
                std::memcpy(value + slot * wide, new_key + m.kv_heads * size, static_cast<size_t>(size) * 4);
            }
            for (int64_t t = 0; t < tokens; ++t)
                for (int64_t head = g * alike; head < (g + 1) * alike; ++head) {
                    float *turned = room.normed, *score = turned + wide;
                    rotate(s.qkv + t * s.q + head * size, t, turned);
                    for (int64_t k = 0; k < size; ++k) turned[k] *= scale;
                    attend(turned, t, key, value, score, s.mixed + t * s.q + head * size);
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
            norm_all(s.x, layer.attention_norm, m.eps, h);
            int64_t row = 0;
            for (int part = 0; part < m.qkv_parts; row += layer.qkv[part++].rows)
                apply(layer.qkv[part], h, s.d, tokens, {s.qkv + row, s.q, false}, team, room);
            team.wait();
            attention(l, index);
            team.wait();
            apply(layer.o, s.mixed, s.q, tokens, {s.x, s.d, true}, team, room);
            team.wait();
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
        for (int64_t i = 0; i < rank; ++i) quadratic += features[i] / (1.0f + std::exp(-features[i])) * features[rank + i];
        const float linear = dot(h, halting.direct, s.d);
        const float evidence = halting.gain[0] * quadratic / static_cast<float>(rank) + halting.gain[1] * linear;
        const float logit = halting.step_gain[step] * evidence + halting.step_bias[step] + halting.direct_bias;
        return 1.0f / (1.0f + std::exp(-logit));
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

// The two below are for single layers: inputs without padding, room made for the call.
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

extern const Variant VARIANT;
const Variant VARIANT = {VARIANT_NAME, here, ternary_matmul, linear, step};
