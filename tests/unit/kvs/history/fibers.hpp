// SPDX-License-Identifier: Apache-2.0
// Callers that take turns at any access to memory. The store is compiled with -fsanitize=thread,
// which puts a call before each access and makes one of each atomic operation; what is called is
// not the sanitizer but fibers.cpp, which may let another caller go on first, or never let this one
// go on again. Accesses happen in the order of the turns: this shows what interleaving does, and
// TSan and the tests with real processes what the CPU's order does.
#ifndef TESTS_KVS_FIBERS_HPP
#define TESTS_KVS_FIBERS_HPP

#include "world.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace kvs::test {

class Fibers {
  public:
    explicit Fibers(std::uint64_t seed);
    ~Fibers();
    Fibers(const Fibers &) = delete;
    Fibers &operator=(const Fibers &) = delete;

    // A caller; from now on, until it returns, it gets turns.
    void add(std::function<void()> body);
    // In each access to this memory somebody else may come first. What is neither in it, nor in the
    // callers' stacks, nor allowed, must not be written.
    void share(const void *from, std::size_t length);
    void allow(const void *from, std::size_t length);
    // Until all have returned or are dead. switch_of, kill_of: one in so many accesses.
    void run(std::uint32_t switch_of, std::uint32_t kill_of, std::uint32_t most_kills);
    [[nodiscard]] std::uint32_t kills() const;
    [[nodiscard]] std::uint64_t accesses() const;

    struct State;

  private:
    std::unique_ptr<State> state_;
};

} // namespace kvs::test

#endif // TESTS_KVS_FIBERS_HPP
