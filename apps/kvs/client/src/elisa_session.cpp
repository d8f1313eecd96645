// SPDX-License-Identifier: Apache-2.0
// The real thing: crossings into the store's sub context.
#include "elisa/guest.hpp"
#include "kvs/client.hpp"
#include "session.hpp"

namespace kvs {
namespace {

class ElisaSession final : public detail::Session {
  public:
    ElisaSession(elisa::Attachment attachment, elisa::HugeMemory memory, elisa::Region region)
        : memory_{std::move(memory)}, attachment_{std::move(attachment)}, region_{std::move(region)}
    {
    }

    elisa::Result<std::int64_t> call(std::uint64_t op, kvs_addr_t request) override
    {
        const elisa::CallResult result = attachment_.call_anywhere(op, request);
        if (!result.ok()) {
            return elisa::abi_error(result.status, "the call of the store");
        }
        return result.value;
    }
    std::byte *memory() noexcept override { return memory_.data(); }
    std::uint64_t region() const noexcept override { return region_.id().value(); }

  private:
    elisa::HugeMemory memory_;
    elisa::Attachment attachment_;
    elisa::Region region_;
};

} // namespace

elisa::Result<Client> Client::attach(const AttachOptions &options)
{
    auto attachment = elisa::Attachment::attach(
        options.export_name, {.instance = options.instance, .timeout = options.timeout});
    if (!attachment) {
        return attachment.error();
    }
    auto memory = elisa::HugeMemory::allocate(detail::Session::memory_size);
    if (!memory) {
        return memory.error();
    }
    auto region = attachment->register_region(memory->range());
    if (!region) {
        return region.error();
    }
    Client client{std::make_unique<ElisaSession>(std::move(*attachment), std::move(*memory),
                                                 std::move(*region))};
    if (auto answered = client.check_in(); !answered) {
        return answered.error();
    }
    return client;
}

} // namespace kvs
