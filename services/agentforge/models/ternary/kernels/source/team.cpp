#include "team.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <mutex>
#include <thread>

namespace {

constexpr int kSpins = 4000;  // about 50 microseconds: a stage of a small model is shorter than waking a thread

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

struct Pool {
    std::mutex busy;
    int workers = 0;
    std::atomic<uint32_t> turn{0};
    std::atomic<int> working{0};
    Body body = nullptr;
    void* context = nullptr;
    int ranks = 0;
    Barrier* barrier = nullptr;

    void serve(int rank, uint32_t seen) {
        for (;;) {
            for (int spin = 0; spin < kSpins && turn.load(std::memory_order_acquire) == seen; ++spin) relax();
            turn.wait(seen, std::memory_order_acquire);
            seen = turn.load(std::memory_order_acquire);
            if (rank < ranks) {
                Team team{rank, ranks, barrier};
                body(context, team);
            }
            working.fetch_sub(1, std::memory_order_release);
        }
    }

    void grow(int wanted) {
        for (; workers < wanted; ++workers) std::thread(&Pool::serve, this, workers + 1, turn.load()).detach();
    }
};

Pool* pool = new Pool;  // never destroyed: its workers live as long as the process

void after_fork() { pool = new Pool; }  // the child has no workers, and the lock may be held by nobody

const int registered = pthread_atfork(nullptr, nullptr, after_fork);

}  // namespace

struct Barrier {
    int ranks;
    std::atomic<int> arrived{0};
    std::atomic<uint32_t> stage{0};
    explicit Barrier(int count) : ranks(count) {}
};

void Team::wait() const {
    if (ranks == 1) return;
    const uint32_t now = barrier->stage.load(std::memory_order_relaxed);
    if (barrier->arrived.fetch_add(1, std::memory_order_acq_rel) == ranks - 1) {
        barrier->arrived.store(0, std::memory_order_relaxed);
        barrier->stage.store(now + 1, std::memory_order_release);
        return;
    }
    for (int spin = 0; barrier->stage.load(std::memory_order_acquire) == now; ++spin)
        spin < kSpins ? relax() : static_cast<void>(sched_yield());
}

void run_team(int ranks, Body body, void* context) {
    std::unique_lock<std::mutex> lock(pool->busy, std::defer_lock);
    if (ranks <= 1 || !lock.try_lock()) {
        Team alone{0, 1, nullptr};
        return body(context, alone);
    }
    Barrier barrier(ranks);
    pool->grow(ranks - 1);
    pool->body = body, pool->context = context, pool->ranks = ranks, pool->barrier = &barrier;
    pool->working.store(pool->workers, std::memory_order_relaxed);
    pool->turn.fetch_add(1, std::memory_order_release);
    pool->turn.notify_all();
    Team team{0, ranks, &barrier};
    body(context, team);
    for (int spin = 0; pool->working.load(std::memory_order_acquire) > 0; ++spin)
        spin < kSpins ? relax() : static_cast<void>(sched_yield());
}
