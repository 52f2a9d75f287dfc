// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a journal record says: changes of the tree's tables, all of one record or none. They are
// states rather than commands ("this name now stands for that"), so that applying one twice does no
// harm, and a checkpoint is made of the same pieces (docs/formats/journal.md).

#include <variant>
#include <vector>

#include "cache/inode.h"

namespace lafs::cache {

// A change of one name of a directory that the grid does not have yet.
struct Pending {
  InodeNo node = 0;         // what the name stands for; 0: for nothing
  std::optional<Cap> base;  // what the grid had there when the first change was made
  // What attempts of ours may have left there since: our own work is no conflict.
  std::vector<Cap> tried;
  bool facts_only = false;  // only metadata changed: whoever has other content there keeps it
  // These were here, and are to be found elsewhere on the grid before they vanish here.
  std::vector<InodeNo> moved;
  // Goes up with every change of the name; of this process only.
  std::uint64_t change = 0;

  bool operator==(const Pending&) const = default;
};

struct PutNode {
  InodeNo number = 0;
  bool directory = false;
  InodeNo parent = 0;
  std::string name;
  std::optional<Cap> cap;
  PosixFacts facts;
  Metadata other;
  bool operator==(const PutNode&) const = default;
};
struct ForgetNode {  // with its content, and all pending changes of its names
  InodeNo number = 0;
  bool operator==(const ForgetNode&) const = default;
};
struct PutContent {
  InodeNo number = 0;
  Content content;
  bool operator==(const PutContent&) const = default;
};
struct Extent {  // bytes were written to the staging file
  InodeNo number = 0;
  std::uint64_t offset = 0, length = 0;
  timespec when{};
  bool operator==(const Extent& o) const;
};
struct Truncated {
  InodeNo number = 0;
  std::uint64_t size = 0;
  timespec when{};
  bool operator==(const Truncated& o) const;
};
// The grid has the content. `all`: of the present staging file, which is not needed any more;
// otherwise of some moment of a file that is still being written.
struct Stored {
  InodeNo number = 0;
  Cap cap;
  bool all = true;
  bool operator==(const Stored&) const = default;
};
struct PutPending {
  InodeNo directory = 0;
  std::string name;
  Pending pending;
  bool operator==(const PutPending&) const = default;
};
struct Settled {  // nothing is pending for the name
  InodeNo directory = 0;
  std::string name;
  bool operator==(const Settled&) const = default;
};
struct Tried {  // `cap` may soon be found under the name, through us
  InodeNo directory = 0;
  std::string name;
  Cap cap;
  bool operator==(const Tried&) const = default;
};
struct Numbered {  // the name has this number; 0: none of its own
  InodeNo directory = 0;
  std::string name;
  InodeNo number = 0;
  bool operator==(const Numbered&) const = default;
};

using Op = std::variant<PutNode, ForgetNode, PutContent, Extent, Truncated, Stored, PutPending,
                        Settled, Tried, Numbered>;
using Record = std::vector<Op>;

Bytes encode(const Record& record);
// Errc::corrupt for everything that encode() does not write.
Result<Record> decode(ByteView bytes);

}  // namespace lafs::cache
