// What the Python side hands over (ctypes mirrors these structs in layout.py) and what each variant offers.
//
// Ternary tiles: blocks of 16 rows, each a run of 64-byte chunks; a chunk holds 16 columns of its 16 rows, 4 bytes
// a row, as the packed file has them (column 4 b + j in bits 2 j of byte b; code + 1). Missing rows and columns are 0.
// Int8 tiles: blocks of 16 rows, chunks of 4 columns, 4 bytes a row, in [-127, 127].
// 4-bit tiles: blocks of 16 rows, chunks of 8 columns, 4 bytes a row: byte b has column b low, b + 4 high; code + 7.
#pragma once
#include <cstdint>

struct Team;

struct Linear {  // y = W x * scale + bias
    int32_t ternary;  // else float32, rows one after another, `stride` floats each
    int32_t rows, columns;
    int32_t group;  // columns that share a scale; a multiple of 16, or all
    int64_t stride;
    const void* weight;
    const float* scale;  // (groups, rows padded to 16); ternary only
    const float* bias;   // or null
    int32_t norm;        // RMS norm of x first, without weights
};

struct Table {  // an embedding or a head
    int32_t rows, columns;
    int32_t span;  // columns that share a scale; a multiple of 16
    int32_t bits;  // 32, 8 or 4
    const int8_t* tiles;  // of 32 bits: float32, rows one after another, padded to 16 columns
    const float* scale;   // (spans, rows padded to 16); not of 32 bits
};

struct Memory {  // one layer's long-term memory
    int32_t there;
    Linear q, kv, o, gates;  // gates: blend, write, momentum
    const float *key_norm, *read_norm;
    const float* initial;  // (2, learned slots, size): keys and values
};

struct Layer {
    const float *attention_norm, *mlp_norm;
    Linear qkv[3];  // one for all, or one each
    Linear o, gate, up, down;
    const float *learned_key, *learned_value;  // (kv heads, learned, head size): tokens that have no place, or null
    Memory memory;
};

struct Remembering {  // what the memories of all layers share
    int32_t chunk, slots, learned;  // entries are readable from the next multiple of `chunk` on
    int32_t by_age, momentum;       // who stays: the latest; else the highest rank
    int32_t hidden;                 // of the strength, a small network: (surprise, novelty) to one number
    float log_decay, out_bias;
    const float *in_weight, *in_bias, *out_weight;  // (hidden, 2), (hidden), (hidden)
};

struct Halting {
    Linear features;  // gate and value, one after the other
    const float *direct, *step_gain, *step_bias;
    float direct_bias, gain[2], threshold;
};

struct Model {
    int32_t size, intermediate, heads, kv_heads, head_size, layers, qkv_parts;
    int32_t window, learned, context;  // window 0: all of the context
    int32_t normalise_input, recursion, steps, cycles, inner;  // steps 0: one plain pass
    float eps, rotary_scale;
    const Layer* layer;
    const float *norm, *start, *step_scale;  // start: y and z
    const float* frequency;                  // (head size / 2)
    Table embedding, head;
    Linear consolidate;
    Halting halting;
    int32_t halts;
    Remembering remembering;  // chunk 0: no layer has a memory
};

struct Store {  // one layer's memory by now. Slots: the learned ones, padded to 16, then the entries'
    float *key, *value;  // by head: (slots / 16, head size, 16) and (slots, padded head size)
    float *mask;         // by slot: 0, or -inf where nothing is
    float *norm, *score, *order, *position;              // by slot
    float *new_key, *new_value, *new_score, *new_order;  // by token of the chunk that goes on
    float momentum;
    int32_t count;  // entries that can be read
};

struct State {  // made by decode_new; all sizes in floats, rows padded to 16
    Model model;
    Store* store;     // by layer
    int32_t places;   // slots of a memory, padded
    int32_t* blocks;  // of these slots: 0, 16, 32, ...
    float *memory_q, *memory_kv, *judged, *recalled, *read, *attended, *told;  // by token; judged: by head and slot
    float *surprise, *novelty, *gate;                                          // by token
    int64_t length;  // tokens seen
    int32_t chunk, ring, slots, passes, ranks;
    int64_t d, q, f;  // padded widths: hidden, qkv, intermediate
    float *x, *input, *y, *z, *qkv, *mixed, *act, *bias, *cosine, *sine, *states, *answer;
    int32_t* live;       // by token: how many blocks of 16 slots hold something that it sees, and which
    float *key, *value;  // by pass, layer and kv head: (slots / 16, head size, 16) and (slots, padded head size)
    float* scratch;      // by rank
    int64_t scratch_size;
};

struct Variant {
    const char* name;
    bool (*here)();
    void (*ternary_matmul)(const Linear&, const int8_t* x, int64_t tokens, int32_t* out, int threads);
    void (*linear)(const Linear&, const float* x, int64_t tokens, float* out, int threads);
    void (*step)(State&, const int32_t* ids, int tokens, float* logits, Team&);
};

extern const Variant avx512_variant, avx2_variant, neon_variant, portable_variant;
