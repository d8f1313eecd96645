// SPDX-License-Identifier: Apache-2.0
// A guest changes its memory between two instructions of a call: each word that the switch takes
// from it, at every instruction, from what is good to what is not. Whichever it saw, it must have
// used only that one (double fetches, CVE-2020-14375). Without a second thread, hence without luck;
// race_test.cpp has real ones. Regions lie between inaccessible pages: a stray access ends the
// call.
#include "world.hpp"

#include <functional>
#include <gtest/gtest.h>
#include <ostream>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace rvs::test {
namespace {

// Runs code while a page of memory is watched: each instruction that touches it runs alone, and
// after so many of them an event happens.
class Watch {
  public:
    Watch(std::uint8_t *at, std::uint32_t touches, std::function<void()> event)
        : page_{at - reinterpret_cast<std::uintptr_t>(at) % Memory::page}, left_{touches},
          event_{std::move(event)}
    {
        current = this;
        struct sigaction action = {};
        action.sa_sigaction = on_touch;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, &old_segv_);
        action.sa_sigaction = on_step;
        sigaction(SIGTRAP, &action, &old_trap_);
        protect(PROT_NONE);
    }
    ~Watch()
    {
        protect(PROT_READ | PROT_WRITE);
        sigaction(SIGSEGV, &old_segv_, nullptr);
        sigaction(SIGTRAP, &old_trap_, nullptr);
        current = nullptr;
    }
    Watch(const Watch &) = delete;
    Watch &operator=(const Watch &) = delete;

    [[nodiscard]] bool happened() const { return happened_; }

  private:
    static constexpr greg_t trap_flag = 0x100;

    static void on_touch(int, siginfo_t *info, void *context)
    {
        const auto *at = static_cast<const std::uint8_t *>(info->si_addr);
        if (at < current->page_ || at >= current->page_ + Memory::page) {
            constexpr char text[] = "a stray access\n";
            static_cast<void>(!write(STDERR_FILENO, text, sizeof(text) - 1));
            abort();
        }
        current->protect(PROT_READ | PROT_WRITE);
        static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
    }
    static void on_step(int, siginfo_t *, void *context)
    {
        static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
        if (current->left_ != 0 && --current->left_ == 0) {
            current->event_();
            current->happened_ = true;
        }
        current->protect(PROT_NONE);
    }
    void protect(int rights) const { mprotect(page_, Memory::page, rights); }

    static inline Watch *current = nullptr;
    std::uint8_t *page_;
    std::uint32_t left_;
    std::function<void()> event_;
    bool happened_ = false;
    struct sigaction old_segv_ = {};
    struct sigaction old_trap_ = {};
};

constexpr std::uint32_t frames = 3;
constexpr std::uint8_t untouched = 0xc5; // between buffers
const Bytes whole = frame(mac(2), mac(1), 2000);

struct Scene {
    explicit Scene(std::uint32_t aimed_at) : aim{aimed_at}
    {
        sender.join();
        receiver.join();
    }
    std::uint64_t desc_addr(std::uint32_t i) const
    {
        return Guest::descs_at + sizeof(rvif_tx_desc) * i;
    }
    std::uint64_t desc_len_flags(std::uint32_t i) const { return desc_addr(i) + 8; }

    std::uint32_t aim; // the frame whose descriptor changes
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1, {.buf_len = 256}};
    rvif_addr_t at = sender.stage(whole);
};

Bytes beginning(std::size_t size)
{
    return {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
}

// The first bytes of a good frame, as far as there is room for them: what makes the switch look
// further.
void plant(Guest &guest, std::uint64_t offset)
{
    std::memcpy(guest.memory().data() + offset, whole.data(),
                std::min<std::uint64_t>(whole.size(), guest.memory().size() - offset));
}

struct Change {
    const char *what;
    Guest Scene::*whose;
    std::function<std::uint64_t(Scene &)> where; // a word in that guest's memory
    std::function<std::uint64_t(Scene &, std::uint64_t good)> bad;
    std::vector<std::size_t> sizes; // that frames may have, all of them beginnings of `whole`
    std::function<void(Scene &)> arrange = [](Scene &) {};
};

std::ostream &operator<<(std::ostream &out, const Change &change)
{
    return out << change.what;
}

// Of three frames of 64 bytes each, in descriptors 0 to 2, the one in the middle of a run; or one
// that is alone in its call.
const Change changes[] = {
    {"address_leaves_its_region",
     &Scene::sender,
     [](Scene &s) { return s.desc_addr(s.aim); },
     [](Scene &s, std::uint64_t) {
         const std::uint64_t offset = s.sender.memory().size() - 40;
         plant(s.sender, offset);
         return RVIF_ADDR(0ull, offset);
     },
     {64}},
    {"region_is_another",
     &Scene::sender,
     [](Scene &s) { return s.desc_addr(s.aim); },
     [](Scene &, std::uint64_t good) { return good | RVIF_ADDR(7ull, 0); },
     {64}},
    {"length_leaves_the_region",
     &Scene::sender,
     [](Scene &s) { return s.desc_len_flags(s.aim); },
     [](Scene &, std::uint64_t) { return std::uint64_t{60000}; },
     {64},
     [](Scene &s) {
         const std::uint64_t offset = s.sender.memory().size() - 64;
         plant(s.sender, offset);
         s.sender.desc(s.aim, {RVIF_ADDR(0ull, offset), 64});
     }},
    {"length_outgrows_the_buffer",
     &Scene::sender,
     [](Scene &s) { return s.desc_len_flags(s.aim); },
     [](Scene &, std::uint64_t) { return std::uint64_t{1500}; },
     {64, 1500}},
    {"length_shrinks_to_less_than_a_header",
     &Scene::sender,
     [](Scene &s) { return s.desc_len_flags(s.aim); },
     [](Scene &, std::uint64_t) { return std::uint64_t{3}; },
     {64}},
    {"source_becomes_a_group_address",
     &Scene::sender,
     [](Scene &s) { return RVIF_ADDR_OFFSET(s.at); },
     [](Scene &, std::uint64_t good) { return good | 1ull << 48; },
     {64}},
    {"posted_buffer_leaves_the_region",
     &Scene::receiver,
     [](Scene &s) { return s.receiver.posted_at(s.sender.source()); },
     [](Scene &s, std::uint64_t) {
         const std::uint64_t unit = s.receiver.memory().size() / RVIF_BUF_UNIT | RVIF_PHASE;
         return unit << 32 | unit;
     },
     {64}},
    {"chain_goes_on",
     &Scene::sender,
     [](Scene &s) { return s.desc_len_flags(s.aim); },
     [](Scene &, std::uint64_t good) { return good | std::uint64_t{RVIF_TX_MORE} << 16; },
     {64, 128},
     [](Scene &s) {
         s.sender.desc(2, {s.sender.stage({whole.begin() + 64, whole.begin() + 128}), 64});
     }},
    {"segment_leaves_the_region",
     &Scene::sender,
     [](Scene &s) { return s.desc_len_flags(s.aim); },
     [](Scene &, std::uint64_t) { return std::uint64_t{60000}; },
     {64, 128},
     [](Scene &s) {
         const std::uint64_t offset = s.sender.memory().size() - 64;
         std::memcpy(s.sender.memory().data() + offset, whole.data() + 64, 64);
         s.sender.desc(0, {s.sender.stage(beginning(64)), 64, RVIF_TX_MORE});
         s.sender.desc(1, {RVIF_ADDR(0ull, offset), 64});
     }},
};

// frames of them in a call, or one.
class ChangedAfterEveryAccess : public testing::TestWithParam<std::tuple<Change, std::uint32_t>> {};

TEST_P(ChangedAfterEveryAccess, TheCallUsesWhatItHasChecked)
{
    const auto &[change, count] = GetParam();
    Scene s{count / 2};
    EXPECT_EQ(s.receiver.send(frame(broadcast, mac(2))), 1);
    const std::uint64_t stride = s.receiver.options().buf_len + 64;
    std::memset(s.receiver.memory().data() + s.receiver.buffers_at(), untouched,
                s.receiver.options().buffers * stride);
    std::uint32_t arrived = 0;
    std::uint32_t touches = 0;
    for (bool over = false; !over;) {
        s.receiver.call(RVIF_OP_STOP);
        s.receiver.set_up();
        ASSERT_EQ(s.receiver.call(RVIF_OP_START), 0);
        s.receiver.post(s.sender.source(), 32);
        for (std::uint32_t i = 0; i < frames; ++i)
            s.sender.desc(i, {s.at, 64});
        change.arrange(s);
        std::uint8_t *const word = (s.*change.whose).memory().data() + change.where(s);
        std::uint64_t good = 0;
        std::memcpy(&good, word, sizeof(good));
        const std::uint64_t bad = change.bad(s, good);
        {
            const Watch watch{word, ++touches, [&] { std::memcpy(word, &bad, sizeof(bad)); }};
            s.sender.transmit(count);
            over = !watch.happened();
        }
        std::memcpy(word, &good, sizeof(good));
        for (const Bytes &got : s.receiver.receive_all(s.sender.source())) {
            ASSERT_TRUE(std::find(change.sizes.begin(), change.sizes.end(), got.size()) !=
                        change.sizes.end())
                << got.size() << " bytes, after " << touches << " accesses";
            ASSERT_TRUE(std::equal(got.begin(), got.end(), whole.begin()))
                << "after " << touches << " accesses";
            ++arrived;
        }
    }
    EXPECT_GT(touches, count) << "it was not watched";
    EXPECT_GE(arrived, count > 1 ? touches : 1); // the others of the call, or when nothing changed
    for (std::uint32_t i = 0; i < s.receiver.options().buffers; ++i) {
        for (std::uint64_t b = s.receiver.options().buf_len; b < stride; ++b)
            ASSERT_EQ(s.receiver.memory().data()[s.receiver.buffers_at() + i * stride + b],
                      untouched);
    }
    RecordProperty("accesses", static_cast<int>(touches));
}

std::string name(const testing::TestParamInfo<std::tuple<Change, std::uint32_t>> &tested)
{
    return std::get<Change>(tested.param).what;
}

// The last two are of frames in several segments.
constexpr std::size_t of_chains = 2;
INSTANTIATE_TEST_SUITE_P(Rvs, ChangedAfterEveryAccess,
                         testing::Combine(testing::ValuesIn(changes), testing::Values(frames)),
                         name);
INSTANTIATE_TEST_SUITE_P(RvsAlone, ChangedAfterEveryAccess,
                         testing::Combine(testing::ValuesIn(std::begin(changes),
                                                            std::end(changes) - of_chains),
                                          testing::Values(1u)),
                         name);

} // namespace
} // namespace rvs::test
