/*
 * Intrusive doubly linked lists.
 *
 * A `struct list` is both the head of a list and the link inside each element. An empty head, and an element on no
 * list, point at themselves, so list_del() may be called twice. The caller holds whatever lock guards the list.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name)                                                                                                \
    {                                                                                                                  \
        &(name), &(name)                                                                                               \
    }

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_between(struct list *node, struct list *prev, struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

/* Adds node as the first element of head. */
static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_between(node, head, head->next);
}

/* Adds node as the last element of head; also: inserts node before the element `head`. */
static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_between(node, head->prev, head);
}

/* Takes node off its list, if it is on one. */
static inline void list_del(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves every element of src to the end of dst; src is empty afterwards. */
static inline void list_splice_back(struct list *dst, struct list *src)
{
    if (list_empty(src))
        return;
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    list_init(src);
}

#define list_entry(link, type, member) container_of(link, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)

/* Walks the elements of head; the body must not take `it` off the list. */
#define list_for_each(it, head, member)                                                                                \
    for (it = list_first(head, __typeof__(*it), member); &it->member != (head);                                        \
         it = list_first(&it->member, __typeof__(*it), member))

/* The same, but the body may take `it` (and only it) off the list; `tmp` is another variable of the same type. */
#define list_for_each_safe(it, tmp, head, member)                                                                      \
    for (it = list_first(head, __typeof__(*it), member), tmp = list_first(&it->member, __typeof__(*it), member);       \
         &it->member != (head); it = tmp, tmp = list_first(&tmp->member, __typeof__(*tmp), member))
