// SPDX-License-Identifier: Apache-2.0
#include "offload.hpp"

namespace rvs {

namespace {

// RFC 1071, over pieces of any length: an odd piece shifts the next by a byte.
class Checksum {
  public:
    void add(const std::uint8_t *data, std::uint32_t len)
    {
        std::uint64_t sum = 0;
        std::uint32_t i = 0;
        for (; i + 4 <= len; i += 4)
            sum += detail::load<detail::Bytes4>(data + i).value;
        if (i + 2 <= len) {
            sum += detail::load<detail::Bytes2>(data + i).value;
            i += 2;
        }
        if (i < len)
            sum += data[i];
        const std::uint16_t folded = fold(sum);
        sum_ += odd_ ? swap16(folded) : folded;
        odd_ ^= (len & 1) != 0;
    }
    // A number as it stands in a header.
    void add16(std::uint32_t v) { sum_ += swap16(static_cast<std::uint16_t>(v)); }

    // As it is to be stored, high byte first.
    [[nodiscard]] std::uint32_t value() const
    {
        return swap16(static_cast<std::uint16_t>(~fold(sum_)));
    }

  private:
    static std::uint16_t fold(std::uint64_t sum)
    {
        sum = (sum & 0xffffffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return static_cast<std::uint16_t>(sum);
    }

    std::uint64_t sum_ = 0;
    bool odd_ = false;
};

constexpr std::uint32_t udp_checksum_at = 6;
constexpr std::uint32_t udp_header = 8;
constexpr std::uint32_t tcp_checksum_at = 16;
constexpr std::uint32_t tcp_header = 20;
constexpr std::uint32_t tcp_flags_at = 13;
constexpr std::uint8_t tcp_fin_psh = 0x09;
constexpr std::uint8_t tcp_cwr = 0x80;

} // namespace

bool Offload::take(const Frame &frame)
{
    frame_ = &frame;
    headers_.take(frame, Headers::capacity - 4); // room for a tag
    layers_ = find_layers(headers_);
    const bool tso = (frame.flags & RVIF_TX_TSO) != 0;
    if ((frame.flags & RVIF_TX_IP_CSUM) != 0 && layers_.ip != Layers::Ip::v4)
        return false;

    std::uint32_t end = layers_.l4_at;
    if ((frame.flags & (RVIF_TX_L4_CSUM | RVIF_TX_TSO)) != 0) {
        if (layers_.l4 == Layers::L4::none)
            return false;
        end += udp_header;
        if (layers_.l4 == Layers::L4::tcp) {
            const std::uint32_t len = (headers_.bytes[layers_.l4_at + 12] >> 4) * 4u;
            end = layers_.l4_at + len;
            if (len < tcp_header || end > headers_.have)
                return false;
        }
    }
    if (end > headers_.have)
        return false;
    headers_.have = end;
    payload_ = frame.total - end;
    if (tso) {
        return layers_.l4 == Layers::L4::tcp && frame.segsz >= RVIF_MIN_SEGSZ && payload_ != 0;
    }
    // What is behind the IP packet is padding, and in no checksum. It goes.
    const std::uint32_t said = layers_.ip == Layers::Ip::v4 ? headers_.u16(layers_.ip_at + 2)
                                                            : 40 + headers_.u16(layers_.ip_at + 4);
    if (said < end - layers_.ip_at || said - (end - layers_.ip_at) > payload_)
        return false;
    return true;
}

void Offload::set_ip_length(Headers &headers, std::uint32_t payload_len) const
{
    const std::uint32_t len = headers.have - layers_.ip_at + payload_len;
    if (layers_.ip == Layers::Ip::v4)
        headers.put16(layers_.ip_at + 2, len);
    else
        headers.put16(layers_.ip_at + 4, len - 40);
}

// Checksums of headers that go out in front of payload_len bytes.
void Offload::finish(Headers &headers, const Segment *payload, std::uint32_t count,
                     std::uint32_t payload_len, bool l4) const
{
    const std::uint32_t ip = layers_.ip_at;
    if (layers_.ip == Layers::Ip::v4 && (frame_->flags & (RVIF_TX_IP_CSUM | RVIF_TX_TSO)) != 0) {
        headers.put16(ip + 10, 0);
        Checksum sum;
        sum.add(headers.bytes + ip, layers_.l4_at - ip);
        headers.put16(ip + 10, sum.value());
    }
    if (!l4)
        return;
    const bool tcp = layers_.l4 == Layers::L4::tcp;
    const std::uint32_t at = layers_.l4_at + (tcp ? tcp_checksum_at : udp_checksum_at);
    headers.put16(at, 0);
    Checksum sum;
    if (layers_.ip == Layers::Ip::v4)
        sum.add(headers.bytes + ip + 12, 8);
    else
        sum.add(headers.bytes + ip + 8, 32);
    sum.add16(tcp ? 6 : 17);
    const std::uint32_t header_len = headers.have - layers_.l4_at;
    // Of the datagram, as its headers say it: padding does not count.
    std::uint32_t left = layers_.ip == Layers::Ip::v4
                             ? headers.u16(ip + 2) - (headers.have - ip)
                             : headers.u16(ip + 4) + 40 - (headers.have - ip);
    left = left < payload_len ? left : payload_len;
    sum.add16(header_len + left);
    sum.add(headers.bytes + layers_.l4_at, header_len);
    for (std::uint32_t i = 0; i < count && left != 0; ++i) {
        const std::uint32_t n = payload[i].len < left ? payload[i].len : left;
        sum.add(payload[i].data, n);
        left -= n;
    }
    const std::uint32_t value = sum.value();
    headers.put16(at, value == 0 && !tcp ? 0xffff : value);
}

// slot[1 .. count] is the payload.
void Offload::send(OpenLane &lane, const Tagging &tagging, const Headers &headers, Segment *slot,
                   std::uint32_t count, std::uint32_t payload_len, const Notes &notes, bool avx2)
{
    std::uint8_t out[Headers::capacity];
    std::uint32_t len = headers.have;
    if (tagging.change == Tagging::Change::none) {
        *slot = Segment{headers.bytes, len};
    } else {
        Header first;
        __builtin_memcpy(&first, headers.bytes, Header::size);
        const Retagged head{first, Header::size, tagging};
        __builtin_memcpy(out, head.bytes, sizeof head.bytes); // all of it: what is too much goes
        copy_bytes(out + head.len, headers.bytes + Header::size, len - Header::size);
        len = head.len + (len - Header::size);
        *slot = Segment{out, len};
    }
    lane.deliver(slot, count + 1, len + payload_len, notes, avx2);
}

std::uint32_t Offload::deliver(OpenLane &lane, const Tagging &tagging, Notes notes, bool avx2)
{
    const std::uint32_t takes = lane.lane->flags;
    const bool tso = (frame_->flags & RVIF_TX_TSO) != 0;
    const bool l4 = tso || (frame_->flags & RVIF_TX_L4_CSUM) != 0;

    // Where the payload begins: behind segment[0], which holds less than any IP header's end.
    std::uint32_t skip = headers_.have;
    std::uint32_t k = 0;
    while (k < frame_->count && frame_->segment[k].len <= skip)
        skip -= frame_->segment[k++].len;
    Segment *const slot = frame_->segment + k - 1;
    const Segment saved[2] = {slot[0], k < frame_->count ? slot[1] : Segment{nullptr, 0}};
    if (skip != 0)
        slot[1] = Segment{saved[1].data + skip, saved[1].len - skip};
    const std::uint32_t count = frame_->count - k;

    std::uint32_t frames = 1;
    Headers headers = headers_;
    if (!tso || (takes & RVIF_RXQ_TSO) != 0 || payload_ <= frame_->segsz) {
        const bool leave = l4 && (takes & RVIF_RXQ_L4_NONE) != 0;
        if (leave)
            notes.comp |= RVIF_COMP_L4_NONE;
        if (tso && payload_ > frame_->segsz) {
            notes.comp |= RVIF_COMP_TSO;
            notes.meta |= std::uint32_t{frame_->segsz} << 16;
        }
        if (tso)
            set_ip_length(headers, payload_);
        finish(headers, slot + 1, count, payload_, l4 && !leave);
        send(lane, tagging, headers, slot, count, payload_, notes, avx2);
    } else {
        frames = 0;
        Segment part[RVIF_MAX_BURST + 2]; // part[0] is the headers'
        std::uint32_t from = 0;           // segment, and how much of it has gone
        std::uint32_t gone = 0;
        for (std::uint32_t sent = 0; sent < payload_; ++frames) {
            const std::uint32_t want =
                payload_ - sent < frame_->segsz ? payload_ - sent : frame_->segsz;
            std::uint32_t n = 0;
            for (std::uint32_t have = 0; have < want; ++n) {
                const Segment &source = slot[1 + from];
                const std::uint32_t rest = source.len - gone;
                const std::uint32_t len = rest < want - have ? rest : want - have;
                part[1 + n] = Segment{source.data + gone, len};
                have += len;
                gone += len;
                if (gone == source.len) {
                    ++from;
                    gone = 0;
                }
            }
            headers = headers_;
            set_ip_length(headers, want);
            if (layers_.ip == Layers::Ip::v4)
                headers.put16(layers_.ip_at + 4, headers.u16(layers_.ip_at + 4) + frames);
            const std::uint32_t tcp = layers_.l4_at;
            headers.put32(tcp + 4, headers.u32(tcp + 4) + sent);
            sent += want;
            if (sent < payload_)
                headers.bytes[tcp + tcp_flags_at] &= static_cast<std::uint8_t>(~tcp_fin_psh);
            if (frames != 0)
                headers.bytes[tcp + tcp_flags_at] &= static_cast<std::uint8_t>(~tcp_cwr);
            const bool leave = (takes & RVIF_RXQ_L4_NONE) != 0;
            Notes each = notes;
            if (leave)
                each.comp |= RVIF_COMP_L4_NONE;
            finish(headers, part + 1, n, want, !leave);
            send(lane, tagging, headers, part, n, want, each, avx2);
        }
    }
    slot[0] = saved[0];
    if (k < frame_->count)
        slot[1] = saved[1];
    return frames;
}

} // namespace rvs
