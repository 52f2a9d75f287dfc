# The Debian 12 packages that building and testing lafs needs. Sourced by contrib/test and
# contrib/quickstart.

lafs_build_packages=(
  meson ninja-build pkg-config g++
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libssl-dev libsodium-dev libisal-dev
  libfuse3-dev fuse3 liblmdb-dev libssh-dev
  libcbor-dev libcli11-dev libfmt-dev libyaml-cpp-dev libinih-dev libutf8proc-dev
  catch2                                          # the tests are part of every build
  python3 git curl ca-certificates openssl rsync
)
# For the format check, the sanitizers, the fuzzers, the tests with other people's programs and the servers that ours are
# measured against; without them those are skipped.
lafs_test_packages=(
  clang-19 libclang-rt-19-dev lld-19 clang-format-19
  lftp wget ncftp tnftp inetutils-ftp rclone python3-pyftpdlib python3-foolscap python3-cryptography vsftpd
  openssh-client openssh-tests sshfs putty-tools python3-paramiko
  fio stress-ng sqlite3 zip unzip man-db faketime zsh fish
)

# What brings a daemon that Debian starts for the whole network: the package we ask for, the daemon's package, its
# service. Where we install one, it stays off: tests and benchmarks start their own on the loopback.
lafs_silent_daemons=("openssh-tests openssh-server ssh" "vsftpd vsftpd vsftpd")

is_installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

# install_packages NAME...: installs those that are missing, when we may; otherwise names them.
install_packages() {
  local package daemon service asked policy=/usr/sbin/policy-rc.d own_policy= status=0 missing=()
  command -v dpkg-query >/dev/null || return 0    # not Debian: the build will say what it lacks
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "not root; missing packages: ${missing[*]}" >&2
    return 0
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  while read -r asked daemon service; do
    [[ " ${missing[*]} " == *" $asked "* ]] && ! is_installed "$daemon" || continue
    mkdir -p /etc/systemd/system && ln -sfn /dev/null "/etc/systemd/system/$service.service"
  done < <(printf '%s\n' "${lafs_silent_daemons[@]}")
  if [ ! -e "$policy" ]; then    # for systems without systemd
    own_policy=1
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } || status=$?
  [ -z "$own_policy" ] || rm -f "$policy"
  return "$status"
}
