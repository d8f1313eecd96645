// SPDX-License-Identifier: Apache-2.0
#include "claim_model.hpp"
#include "explore.hpp"

#include <gtest/gtest.h>

using namespace claims;

namespace {

const char *name(Defect defect)
{
    constexpr const char *names[] = {"none",
                                     "looks_then_claims",
                                     "any_cpu_again",
                                     "released_then_counts",
                                     "counts_plainly",
                                     "looks_before_claim",
                                     "grace_before_kill",
                                     "kills_plainly",
                                     "no_grace",
                                     "own_stop_unclaimed",
                                     "frees_owner_first",
                                     "cut_work_unchecked",
                                     "cut_work_anywhere",
                                     "closed_while_running"};
    return names[static_cast<std::size_t>(defect)];
}

// Each has what the others leave out: operations of the three CPUs, cuts, rounds of the receiver.
constexpr ClaimModel::Limits scenes[] = {
    {{2, 1, 0}, 2, 2}, // one queue, and a receiver that comes again
    {{3, 0, 2}, 2, 2}, // a CPU that is cut short, killed, and its heir
    {{2, 2, 0}, 2, 1}, // two CPUs, STOP and SETUP of their own
    {{2, 1, 2}, 1, 1}, // and who gets the source then
    {{3, 1, 0}, 2, 2}, {{1, 2, 2}, 1, 1},
};

model::Explored explored(Defect defect, const ClaimModel::Limits &scene)
{
    return model::explore(ClaimModel{defect, scene});
}
// In whichever scene shows it first.
std::string found(Defect defect, bool buffers = true)
{
    for (ClaimModel::Limits scene : scenes) {
        scene.buffers = buffers;
        const model::Explored all = explored(defect, scene);
        if (!all.wrong.empty()) {
            std::printf("claim model, %s: %s, %zu states\n", name(defect), all.wrong.c_str(),
                        all.states);
            return all.wrong;
        }
    }
    return {};
}

TEST(ClaimModel, NobodyWritesWhereItMayNotWhateverIsCutShortOrKilledWhen)
{
    for (const ClaimModel::Limits &scene : scenes) {
        const model::Explored all = explored(Defect::none, scene);
        EXPECT_EQ(all.wrong, "");
        EXPECT_GT(all.states, 100'000u);
        std::printf("claim model, operations %d %d %d, cuts %d, rounds %d: %zu states, %zu steps\n",
                    scene.operations[0], scene.operations[1], scene.operations[2], scene.cuts,
                    scene.rounds, all.states, all.steps);
    }
}

// The model sees what it is there to see.
TEST(ClaimModel, ShowsWhatEachStepIsFor)
{
    for (auto d = static_cast<std::uint8_t>(Defect::none) + 1;
         d <= static_cast<int>(Defect::closed_while_running); ++d) {
        const auto defect = static_cast<Defect>(d);
        EXPECT_NE(found(defect), "") << name(defect);
    }
}

// These are right if everybody sees everything at once, and wrong on a CPU.
TEST(ClaimModel, ShowsWhatStoresThatWaitInABufferDo)
{
    EXPECT_NE(found(Defect::counts_plainly), "");
    EXPECT_EQ(found(Defect::counts_plainly, false), "");
}

} // namespace
