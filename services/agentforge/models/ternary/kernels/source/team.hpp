// A few threads that work on one thing together: same code, each its share, a barrier between the stages.
#pragma once
#include <cstdint>

struct Barrier;

struct Share {
    int64_t first, last;
};

struct Team {
    int rank, ranks;
    Barrier* barrier;
    void wait() const;  // until all are here
    Share share(int64_t count) const { return {count * rank / ranks, count * (rank + 1) / ranks}; }
};

using Body = void (*)(void* context, Team& team);

// Runs body on `ranks` threads, the caller's among them. While another thread of this process has the workers, the
// caller works alone: what is computed never depends on the number of threads.
void run_team(int ranks, Body body, void* context);
