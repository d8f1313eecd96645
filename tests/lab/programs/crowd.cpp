// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "probes.hpp"

namespace probes {
namespace {

using namespace elisa;

constexpr int rounds = 600; // more than events can wait
constexpr std::uint64_t gigabyte = 1 << 30;

// Whose process is always a new one.
int refused_attaches(const std::string &export_name)
{
    const auto name = *doorbell::pack_name(export_name);
    constexpr std::uint64_t instance = 7;
    int refused = 0;
    std::uint64_t handle = 0;
    for (int i = 0; i < rounds; ++i) {
        const auto attached = doorbell::call(
            ELISA_CALL_ATTACH,
            {.rbx = name[0], .rsi = name[1], .rdi = name[2], .r8 = name[3], .r9 = instance},
            "attaching");
        refused += attached ? 0 : 1;
        handle = attached ? attached->rbx : handle;
    }
    static_cast<void>(doorbell::call(ELISA_CALL_DETACH, {.rbx = handle}, "detaching"));
    return refused;
}

// More than there are addresses for.
int refused_regions(std::uint64_t handle)
{
    int refused = 0;
    for (int i = 0; i < rounds; ++i) {
        const auto created =
            doorbell::call(ELISA_CALL_REGION_CREATE, {.rbx = handle, .rsi = gigabyte}, "creating");
        const bool removed =
            created && doorbell::call(ELISA_CALL_REGION_REMOVE,
                                      {.rbx = handle, .rsi = created->rbx}, "removing");
        refused += removed ? 0 : 1;
    }
    return refused;
}

} // namespace

int crowd(const Attachment &attachment, const std::string &export_name)
{
    return refused_attaches(export_name) + refused_regions(attachment.handle());
}

} // namespace probes
