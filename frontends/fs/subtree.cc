// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/subtree.h"

namespace lafs::fs {

Subtree::Subtree(std::shared_ptr<Filesystem> whole, NodeId top)
    : whole_(std::move(whole)),
      top_(top),
      from_here_{.entry_changed =
                     [this](NodeId parent, const std::string& name, NodeId gone) {
                       whole_->observers().entry_changed(in(parent), name, gone, &to_here_);
                     },
                 .node_changed =
                     [this](NodeId node, bool bytes) {
                       whole_->observers().node_changed(in(node), bytes, &to_here_);
                     }},
      to_here_{.entry_changed =
                   [this](NodeId parent, const std::string& name, NodeId gone) {
                     observers_.entry_changed(out(parent), name, gone, &from_here_);
                   },
               .node_changed =
                   [this](NodeId node, bool bytes) {
                     observers_.node_changed(out(node), bytes, &from_here_);
                   }} {
  observers_.add(&from_here_);
  whole_->observers().add(&to_here_);
}

Subtree::~Subtree() {
  whole_->observers().remove(&to_here_);
  whole_->forget(top_, 1);
}

Result<Attributes> Subtree::out(Result<Attributes> attributes) const {
  if (attributes) attributes->id = out(attributes->id);
  return attributes;
}

Task<Result<Attributes>> Subtree::lookup(NodeId parent, std::string name) {
  return whole_->lookup(in(parent), std::move(name));
}

// The whole's references of the top are the owner's.
void Subtree::forget(NodeId node, std::uint64_t references) {
  if (node != root_node) whole_->forget(node, references);
}

Task<Result<Attributes>> Subtree::attributes(NodeId node) {
  co_return out(co_await whole_->attributes(in(node)));
}

Task<Result<Attributes>> Subtree::change(NodeId node, Changes changes,
                                         std::optional<HandleId> handle) {
  co_return out(co_await whole_->change(in(node), changes, handle));
}

Task<Result<Attributes>> Subtree::mkdir(NodeId parent, std::string name, std::uint32_t mode,
                                        Caller caller) {
  return whole_->mkdir(in(parent), std::move(name), mode, caller);
}

Task<Result<Attributes>> Subtree::symlink(NodeId parent, std::string name, std::string target,
                                          Caller caller) {
  return whole_->symlink(in(parent), std::move(name), std::move(target), caller);
}

Task<Result<Attributes>> Subtree::mknod(NodeId parent, std::string name, Kind kind,
                                        std::uint32_t mode, Caller caller) {
  return whole_->mknod(in(parent), std::move(name), kind, mode, caller);
}

Task<Result<Attributes>> Subtree::link(NodeId node, NodeId new_parent, std::string new_name) {
  return whole_->link(in(node), in(new_parent), std::move(new_name));
}

}  // namespace lafs::fs
