// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The fields of the kernel's sockets that programs read. Only these are declared; libbpf finds them in
 * the running kernel.
 */
#pragma once
#include <linux/types.h>

#define AF_UNIX     1
#define AF_INET     2
#define AF_INET6    10
#define IPPROTO_TCP 6

struct ns_common {
    unsigned int inum;
} __attribute__((preserve_access_index));
struct net {
    struct ns_common ns;
} __attribute__((preserve_access_index));
typedef struct {
    struct net *net;
} possible_net_t;
struct in6_addr {
    union {
        __u32 u6_addr32[4];
    } in6_u;
} __attribute__((preserve_access_index));
struct sock_common {
    __u32 skc_daddr;
    __u16 skc_dport, skc_num;
    unsigned short skc_family;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr;
} __attribute__((preserve_access_index));
struct kernfs_node {
    __u64 id;
} __attribute__((preserve_access_index));
struct cgroup {
    struct kernfs_node *kn;
} __attribute__((preserve_access_index));
struct sock_cgroup_data {
    struct cgroup *cgroup;
} __attribute__((preserve_access_index));
struct sk_buff_head {
    __u32 qlen;
} __attribute__((preserve_access_index));
struct sock {
    struct sock_common __sk_common;
    struct sk_buff_head sk_receive_queue;
    __u16 sk_protocol;
    __u8 sk_shutdown;
    int sk_err;
    struct sock_cgroup_data sk_cgrp_data;
} __attribute__((preserve_access_index));
