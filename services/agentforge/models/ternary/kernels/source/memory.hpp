// A layer's long-term memory. Tokens read what was written before their chunk began; what a chunk wrote is put into
// the slots when the next one begins. A step never reaches over that boundary, so all its tokens read the same.
// Shapes: T new tokens, D hidden size, H heads, K head size, S slots.
#pragma once
#include "attend.hpp"

namespace {

struct Recall {
    State& s;
    const Model& m;
    const Memory& w;
    Store& slots;
    const Team& team;
    int64_t tokens;

    Recall(State& state, int64_t layer, const Team& t, int64_t count)
        : s(state), m(state.model), w(m.layer[layer].memory), slots(state.store[layer]), team(t), tokens(count) {}

    int64_t first() const { return padded(m.remembering.learned); }  // of the entries' slots

    int64_t filled() const { return first() + padded(slots.count); }

    void project(const float* h, bool writes, const Scratch& room) {
        apply(w.q, h, s.d, tokens, {s.memory_q, s.d, false}, team, room);
        apply(w.gates, h, s.d, tokens, {s.gate, 16, false}, team, room);
        if (!writes) return;
        apply(w.kv, h, s.d, tokens, {s.memory_kv, 2 * s.d, false}, team, room);
        if (team.rank == 0 && s.length > 0 && s.length % m.remembering.chunk == 0) settle();
    }

    // The chunk before this one becomes readable; where slots are too few the lowest in order go.
    void settle() {
        const int64_t chunk = m.remembering.chunk, most = m.remembering.slots;
        for (int64_t i = 0; i < chunk; ++i) {
            if (slots.count < most) {
                put(i, first() + slots.count++);
                continue;
            }
            int64_t lowest = first();
            for (int64_t at = first(); at < first() + most; ++at)
                if (slots.order[at] < slots.order[lowest]) lowest = at;
            if (slots.new_order[i] > slots.order[lowest]) put(i, lowest);
        }
    }

    void put(int64_t i, int64_t slot) {
        const float *key = slots.new_key + i * s.d, *value = slots.new_value + i * s.d;
        const int64_t size = m.head_size, wide = padded(size);
        for (int64_t head = 0; head < m.heads; ++head) {
            float* keys = slots.key + head * size * s.places + slot / 16 * 16 * size + slot % 16;
            for (int64_t k = 0; k < size; ++k) keys[16 * k] = key[head * size + k];
            float* values = slots.value + (head * s.places + slot) * wide;
            std::memcpy(values, value + head * size, static_cast<size_t>(4 * size));
        }
        const float norm = std::sqrt(dot(key, key, s.d));
        slots.norm[slot] = norm > 1e-6f ? norm : 1e-6f;
        slots.score[slot] = slots.new_score[i], slots.order[slot] = slots.new_order[i];
        slots.position[slot] = static_cast<float>(s.length - m.remembering.chunk + i);
        slots.mask[slot] = 0.0f;
    }

    int64_t place(int64_t t) const { return (s.length + t) % m.remembering.chunk; }

    // This rank's heads: keep the new keys and values, judge them by what is remembered, read.
    void consult(bool writes, float* room) {
        const int64_t size = m.head_size, blocks = filled() / 16, each = padded(size) + s.places;
        const Share heads = team.share(m.heads);
        for (int64_t head = heads.first; head < heads.last; ++head) {
            if (writes) keep(head * size, size);
            const float *key = slots.key + head * size * s.places, *value = slots.value + head * padded(size) * s.places;
            Ask ask[4];
            int64_t asks = 0;
            for (int64_t t = 0; t < tokens; ++t) {
                ask[asks] = reading(t, head, room + asks * each), ++asks;
                if (writes) ask[asks] = judging(t, head, room + asks * each), ++asks;
                if (asks + 1 + writes <= 4 && t + 1 < tokens) continue;
                attend_all(ask, asks, {key, value, s.blocks, blocks, size});
                asks = 0;
            }
        }
    }

    // The columns of one head. Keys are normed over all columns, and queries by the same weights.
    void keep(int64_t from, int64_t size) {
        for (int64_t t = 0; t < tokens; ++t) {
            const float* row = s.memory_kv + t * 2 * s.d;
            float *key = slots.new_key + place(t) * s.d + from, *value = slots.new_value + place(t) * s.d + from;
            const float scale = norm_of(row);
            for (int64_t k = 0; k < size; ++k) key[k] = row[from + k] * scale * w.key_norm[from + k];
            std::memcpy(value, row + m.size + from, static_cast<size_t>(4 * size));
        }
    }

    float norm_of(const float* row) const {  // after its D columns others may follow
        const int64_t whole = m.size / LANES * LANES;
        float sum = dot(row, row, whole);
        for (int64_t k = whole; k < m.size; ++k) sum += row[k] * row[k];
        return 1.0f / std::sqrt(sum / static_cast<float>(m.size) + m.eps);
    }

    Ask reading(int64_t t, int64_t head, float* room) const {
        const int64_t size = m.head_size, from = head * size;
        const float *row = s.memory_q + t * s.d, *norm = w.key_norm + from;
        float *query = room, *bias = query + padded(size);
        const float scale = norm_of(row) / std::sqrt(static_cast<float>(size)), now = static_cast<float>(s.length + t);
        for (int64_t k = 0; k < size; ++k) query[k] = row[from + k] * norm[k] * scale;
        std::memcpy(bias, slots.mask, static_cast<size_t>(4 * first()));
        for (int64_t at = first(); at < s.places; at += LANES) {
            const vec age = now - load(slots.position + at);
            store(bias + at, load(slots.mask + at) + load(slots.score + at) + age * m.remembering.log_decay);
        }
        return {query, bias, bias, bias, s.read + t * s.d + from};
    }

    Ask judging(int64_t t, int64_t head, float* room) const {
        const int64_t size = m.head_size, from = head * size;
        const float *key = slots.new_key + place(t) * s.d + from, scale = 1.0f / std::sqrt(static_cast<float>(size));
        float *query = room, *weight = query + padded(size);
        for (int64_t k = 0; k < size; ++k) query[k] = key[k] * scale;
        return {query, slots.mask, s.judged + (t * m.heads + head) * s.places, weight, s.recalled + t * s.d + from};
    }

    // Surprise and novelty of this rank's tokens.
    void judge() {
        const Share mine = team.share(tokens);
        for (int64_t t = mine.first; t < mine.last; ++t) {
            const float *key = slots.new_key + place(t) * s.d, *value = slots.new_value + place(t) * s.d;
            const float* recalled = s.recalled + t * s.d;
            vec apart = {};
            for (int64_t k = 0; k < s.d; k += LANES) {
                const vec off = load(value + k) - load(recalled + k);
                apart += off * off;
            }
            const float power = dot(value, value, s.d) + dot(recalled, recalled, s.d);
            s.surprise[t] = total(apart) / (power > 1e-12f ? power : 1e-12f) * sigmoid(s.gate[16 * t + 1]);
            s.novelty[t] = 1.0f - nearest(t) * std::sqrt(static_cast<float>(m.head_size) / dot(key, key, s.d));
        }
    }

    float nearest(int64_t t) const {  // largest cosine with a stored key, times the new key's norm over the root of K
        const float* judged = s.judged + t * m.heads * s.places;
        vec most = vec{} - INFINITY;
        for (int64_t at = 0; at < filled(); at += LANES) {
            vec sum = {};
            for (int64_t head = 0; head < m.heads; ++head) sum += load(judged + head * s.places + at);
            const vec cosine = sum / load(slots.norm + at);
            most = cosine > most ? cosine : most;
        }
        float result = most[0];
        for (int i = 1; i < LANES; ++i) result = most[i] > result ? most[i] : result;
        return result;
    }

    // How strongly each token was written, and who stays.
    void write() {
        const Remembering& r = m.remembering;
        for (int64_t t = 0; t < tokens; ++t) {
            float surprise = s.surprise[t];
            if (r.momentum) surprise = slots.momentum = surprise + sigmoid(s.gate[16 * t + 2]) * slots.momentum;
            const float novelty = s.novelty[t], position = static_cast<float>(s.length + t);
            const float rank = std::log(surprise * (novelty > 0 ? novelty : 0.0f) + 0.05f);
            slots.new_score[place(t)] = rank + strength(surprise, novelty);
            slots.new_order[place(t)] = r.by_age ? position : rank - position * r.log_decay;
        }
    }

    float strength(float surprise, float novelty) const {
        const Remembering& r = m.remembering;
        float sum = r.out_bias;
        for (int64_t i = 0; i < r.hidden; ++i) {
            const float x = r.in_weight[2 * i] * surprise + r.in_weight[2 * i + 1] * novelty + r.in_bias[i];
            sum += r.out_weight[i] * x * sigmoid(x);
        }
        return sum;
    }

    // x += attention and what was read, blended. Each rank has the same rows of both.
    void blend(const Linear& attention, float* normed, const Scratch& room) {
        for (int64_t t = 0; t < tokens; ++t) rms_norm(s.read + t * s.d, w.read_norm, m.eps, m.size, normed + t * s.d);
        apply(attention, s.mixed, s.q, tokens, {s.attended, s.d, false}, team, room);
        apply(w.o, normed, s.d, tokens, {s.told, s.d, false}, team, room);
        const Share blocks = team.share(s.d / 16);
        for (int64_t t = 0; t < tokens; ++t) {
            const float gate = sigmoid(s.gate[16 * t]);
            for (int64_t i = t * s.d + 16 * blocks.first; i < t * s.d + 16 * blocks.last; i += LANES) {
                const vec mixed = load(s.attended + i), apart = load(s.told + i) - mixed;
                store(s.x + i, load(s.x + i) + mixed + apart * gate);
            }
        }
    }
};

}  // namespace
