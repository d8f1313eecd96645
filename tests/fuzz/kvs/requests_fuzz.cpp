// SPDX-License-Identifier: Apache-2.0
// Guests that ask anything, with requests that change while they are carried out. Each region lies
// between pages that nobody may touch. What two guests put as they should is, whenever it is still
// there, what they put; the keys of a namespace that the hostile one has no part in are all there
// to the end.
#include "../../unit/kvs/world.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace kvs::fuzz {
namespace {

using test::Guest;
using test::World;

void check(bool holds, const char *what)
{
    if (!holds) {
        std::fprintf(stderr, "not so: %s\n", what);
        std::abort();
    }
}

class Input {
  public:
    Input(const std::uint8_t *data, std::size_t size) : data_{data}, left_{size} {}
    [[nodiscard]] bool empty() const { return left_ == 0; }
    std::uint8_t byte()
    {
        if (left_ == 0)
            return 0;
        --left_;
        return *data_++;
    }
    std::uint64_t word()
    {
        std::uint64_t all = 0;
        for (int i = 0; i < 8; ++i)
            all |= std::uint64_t{byte()} << (8 * i);
        return all;
    }

  private:
    const std::uint8_t *data_;
    std::size_t left_;
};

constexpr std::uint32_t keys = 12;

// Port 0 is hostile; port 1 shares its namespace; port 2 has one of its own.
Layout made()
{
    Layout all = test::layout(3);
    all.port[2].space = 1;
    all.keys[1] = 64;
    return all;
}

class Bed {
  public:
    Bed() : world_{made()}
    {
        for (std::uint32_t p = 0; p < 3; ++p)
            guests_[p] = std::make_unique<Guest>(world_, p);
        for (std::uint32_t k = 0; k < keys; ++k)
            put(2, k, 40 + k);
        kept_.assign(reinterpret_cast<const char *>(world_.memory.data()), world_.memory.size());
        kept_values_ = private_;
    }

    void run(Input in)
    {
        std::memcpy(world_.memory.data(), kept_.data(), kept_.size());
        private_ = kept_values_;
        for (std::string &value : shared_)
            value.clear();
        for (int n = 0; n < 64 && !in.empty(); ++n)
            act(in);
        check(world_->region_add(PortId{0}, 0, base(0), guests_[0]->memory().size()) == Error::none,
              "a region");
        for (std::uint32_t k = 0; k < keys; ++k) {
            get(1, k);
            check(get(2, k), "a key of another namespace is there");
        }
    }

  private:
    static std::string name(std::uint32_t k) { return "key" + std::to_string(k); }
    std::uint64_t base(std::uint32_t p) const
    {
        return reinterpret_cast<std::uintptr_t>(guests_[p]->memory().data());
    }

    void put(std::uint32_t p, std::uint32_t k, std::size_t length)
    {
        std::string &value = p == 2 ? private_[k] : shared_[k];
        std::string next(length, static_cast<char>('a' + (length + k) % 26));
        if (guests_[p]->put(name(k), next) == 0)
            value = std::move(next);
    }
    // True: it is there, and as it should be. The hostile guest's own puts to a key make it
    // anybody's.
    bool get(std::uint32_t p, std::uint32_t k)
    {
        const auto seen = guests_[p]->get(name(k));
        const std::string &value = p == 2 ? private_[k] : shared_[k];
        check(!seen || p == 1 ? true : *seen == value, "what was put is what is got");
        if (p == 1 && seen && shared_mine_[k])
            check(*seen == value, "what nobody else has put is what is got");
        return seen.has_value();
    }

    void act(Input &in)
    {
        const std::uint8_t what = in.byte();
        const std::uint32_t k = in.byte() % keys;
        const std::size_t length = what % 5 == 0 ? 1 + in.byte() * 200u : in.byte();
        switch (what % 12) {
        case 0:
        case 1:
            put(1, k, length);
            shared_mine_[k] = !hostile_writes_;
            break;
        case 2:
            put(2, k, length % 400);
            break;
        case 3:
            get(1, k);
            get(2, k);
            break;
        case 4: // a request as it should be, but for some bytes
        case 5:
        case 6: {
            hostile_writes_ = true;
            guests_[0]->stage(name(k), static_cast<std::uint32_t>(length));
            const std::uint8_t spoiled = in.byte() % 8;
            for (int i = 0; i < spoiled; ++i) {
                const std::uint8_t at = in.byte() % sizeof(kvs_request);
                guests_[0]->memory().data()[Guest::request_at + at] = in.byte();
            }
            call(in.byte() % 16u, in.byte() % 4 == 0, in);
            break;
        }
        case 7: // anything anywhere
            hostile_writes_ = true;
            static_cast<void>(guests_[0]->call(in.word(), in.word()));
            break;
        case 8: // one value in pieces, which changes meanwhile
            hostile_writes_ = true;
            guests_[0]->stage(name(k), KVS_PIECE / 2 + static_cast<std::uint32_t>(length) * 1000u);
            call(KVS_OP_PUT, false, in);
            break;
        case 9:
            if (in.byte() % 2 != 0)
                static_cast<void>(world_->region_remove(PortId{0}, 0));
            else
                static_cast<void>(
                    world_->region_add(PortId{0}, in.byte() % 3, base(0),
                                       guests_[0]->memory().size() / 4096 / 2 * 4096));
            break;
        case 10:
            guests_[0]->leave();
            guests_[0]->join();
            break;
        default:
            world_->tick(in.byte() * 1000u);
            if (in.byte() % 8 == 0) {
                hostile_writes_ = true;
                static_cast<void>(guests_[0]->call(KVS_OP_FLUSH));
            }
        }
        if (hostile_writes_)
            shared_mine_.fill(false);
        hostile_writes_ = false;
    }

    // Up to some calls, and between them the request changes, or something else is asked.
    void call(std::uint64_t op, bool resume, Input &in)
    {
        std::int64_t answer = guests_[0]->call(resume ? op | KVS_RESUME : op);
        for (int i = 0; i < 20 && answer == KVS_MORE; ++i) {
            const std::uint8_t how = in.byte();
            if (how % 4 == 1)
                guests_[0]->memory().data()[Guest::request_at + how % sizeof(kvs_request)] =
                    in.byte();
            if (how % 16 == 2)
                static_cast<void>(guests_[0]->call(KVS_OP_GET));
            answer = guests_[0]->call(op | KVS_RESUME);
        }
        check(answer >= -KVS_ERRORS && answer <= KVS_MORE, "an answer is one");
    }

    World world_;
    std::unique_ptr<Guest> guests_[3];
    std::string kept_;
    std::array<std::string, keys> private_;
    std::array<std::string, keys> kept_values_;
    std::array<std::string, keys> shared_;
    std::array<bool, keys> shared_mine_{};
    bool hostile_writes_ = false;
};

} // namespace
} // namespace kvs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static kvs::fuzz::Bed bed;
    bed.run({data, size});
    return 0;
}
