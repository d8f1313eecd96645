// SPDX-License-Identifier: Apache-2.0
// Every state that a model can reach, each looked at once.
#ifndef TESTS_MODEL_EXPLORE_HPP
#define TESTS_MODEL_EXPLORE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace model {

struct Explored {
    std::string wrong; // the first thing that is, or empty
    std::size_t states = 0;
    std::size_t steps = 0; // from a state to another, or to one that was known
};

// A state is bytes and nothing between them, so states are the same if their bytes are. Known ones
// are kept whole: no two are taken for one because their hashes are the same.
template <typename State>
struct Same {
    static_assert(std::has_unique_object_representations_v<State>);

    std::size_t operator()(const State &s) const // FNV-1a
    {
        std::uint64_t h = 1469598103934665603ull;
        unsigned char bytes[sizeof(State)];
        std::memcpy(bytes, &s, sizeof(State));
        for (const unsigned char b : bytes)
            h = (h ^ b) * 1099511628211ull;
        return h;
    }
    bool operator()(const State &a, const State &b) const
    {
        return std::memcmp(&a, &b, sizeof(State)) == 0;
    }
};

// Model: a State, the first one of which is first(), and
//     std::string successors(const State &, std::vector<State> &out)
// which returns what is wrong with that state or with a step from it, or nothing.
template <typename Model>
Explored explore(Model model)
{
    using State = typename Model::State;
    std::unordered_set<State, Same<State>, Same<State>> known{model.first()};
    std::vector<State> todo{model.first()};
    std::vector<State> next;
    Explored result;
    while (!todo.empty() && result.wrong.empty()) {
        const State s = todo.back();
        todo.pop_back();
        next.clear();
        result.wrong = model.successors(s, next);
        result.steps += next.size();
        for (const State &n : next) {
            if (known.insert(n).second)
                todo.push_back(n);
        }
    }
    result.states = known.size();
    return result;
}

} // namespace model

#endif // TESTS_MODEL_EXPLORE_HPP
