"""Bone names of the rig families, as patterns per segment.

A pattern is a file-name pattern (`*`, `?`, `[0-9]`), matched without regard to case once the prefixes below are gone.
`{side}` stands for left/right, `{s}` for l/r. Sources: the SMPL-X joint list (smpl-x.is.tue.mpg.de), Rigify's human
metarig, Mixamo's and Unreal's mannequin skeletons, the VRM 1.0 humanoid, MakeHuman's "default", "game_engine" and
"cmu_mb" rigs (CC0).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAMILIES", "GENERIC_CENTRE", "GENERIC_LIMBS", "PREFIXES", "Family"]

PREFIXES = r"(?:def-|org-|mch-|mixamorig\d*[:_]?|[fm]_avg_|cc_base_|bip0*1[ _])"
"""Stripped from the front of a bone name, again and again; a namespace ("rig:Hips") goes first."""


class Family(NamedTuple):
    """One rig's names: patterns (separated by blanks) of the centre segments and of the paired ones."""

    name: str
    centre: dict[str, str]
    paired: dict[str, str]
    heads_inside: bool = False
    """Bone heads sit above the 50 % weight ring, as on SMPL; the others' sit on it within a few per cent."""


FAMILIES: tuple[Family, ...] = (
    Family(
        "SMPL-X",
        {"torso": "root pelvis spine[1-3]", "head": "neck head jaw"},
        {
            "torso": "{side}_collar",
            "head": "{side}_eye {side}_eye_smplhf",
            "uarm": "{side}_shoulder",
            "farm": "{side}_elbow",
            "hand": "{side}_wrist {side}_hand {side}_thumb? {side}_index? {side}_middle? {side}_ring? {side}_pinky?",
            "thigh": "{side}_hip",
            "calf": "{side}_knee",
            "foot": "{side}_ankle {side}_foot",
        },
        heads_inside=True,
    ),
    Family(
        "SMPL (Meshcapade)",
        {"torso": "root pelvis spine[1-3]", "head": "neck head jaw"},
        {
            "torso": "{s}_collar",
            "head": "{s}_eye",
            "uarm": "{s}_shoulder",
            "farm": "{s}_elbow",
            "hand": "{s}_wrist {s}_hand {s}_thumb? {s}_index? {s}_middle? {s}_ring? {s}_pinky?",
            "thigh": "{s}_hip",
            "calf": "{s}_knee",
            "foot": "{s}_ankle {s}_foot",
        },
        heads_inside=True,
    ),
    Family(
        "Rigify",
        {
            "torso": "spine spine.00[1-3]",
            "head": "spine.00[4-9] face jaw* chin* nose* tongue* teeth* lip* forehead* temple* brow* lid* ear* "
            "cheek* eye*",
        },
        {
            "torso": "pelvis.{s} breast.{s} shoulder.{s}",
            "uarm": "upper_arm.{s}*",
            "farm": "forearm.{s}*",
            "hand": "hand.{s} palm.0?.{s} thumb.0?.{s} f_index.0?.{s} f_middle.0?.{s} f_ring.0?.{s} f_pinky.0?.{s}",
            "thigh": "thigh.{s}*",
            "calf": "shin.{s}*",
            "foot": "foot.{s} toe*.{s} heel.*.{s}",
        },
    ),
    Family(
        "Mixamo",
        {"torso": "hips spine spine[12]", "head": "neck head headtop_end lefteye righteye"},
        {
            "torso": "{side}shoulder",
            "uarm": "{side}arm",
            "farm": "{side}forearm",
            "hand": "{side}hand {side}handthumb? {side}handindex? {side}handmiddle? {side}handring? {side}handpinky?",
            "thigh": "{side}upleg",
            "calf": "{side}leg",
            "foot": "{side}foot {side}toebase {side}toe_end",
        },
    ),
    Family(
        "MakeHuman",
        {
            "torso": "root spine0[1-5]",
            "head": "neck0[1-3] head jaw tongue* oris* levator* special*",
        },
        {
            "torso": "pelvis.{s} breast.{s} clavicle.{s} shoulder01.{s}",
            "head": "eye.{s} orbicularis*.{s} oculi*.{s} temporalis*.{s} risorius*.{s}",
            "uarm": "upperarm0[12].{s}",
            "farm": "lowerarm0[12].{s}",
            "hand": "wrist.{s} metacarpal[1-4].{s} finger[1-5]-[1-3].{s}",
            "thigh": "upperleg0[12].{s}",
            "calf": "lowerleg0[12].{s}",
            "foot": "foot.{s} toe[1-5]-[1-3].{s}",
        },
    ),
    Family(
        "Unreal",
        {"torso": "root pelvis spine_0[1-5]", "head": "neck_0[12] head"},
        {
            "torso": "clavicle_{s} breast_{s}",
            "uarm": "upperarm_{s} upperarm_twist_*{s}",
            "farm": "lowerarm_{s} lowerarm_twist_*{s}",
            "hand": "hand_{s} *_metacarpal_{s} thumb_0?_{s} index_0?_{s} middle_0?_{s} ring_0?_{s} pinky_0?_{s}",
            "thigh": "thigh_{s} thigh_twist_*{s}",
            "calf": "calf_{s} calf_twist_*{s}",
            "foot": "foot_{s} ball_{s}",
        },
    ),
    Family(
        "VRM",
        {
            "torso": "root j_bip_c_hips j_bip_c_spine j_bip_c_chest j_bip_c_upperchest j_sec_*bust*",
            "head": "j_bip_c_neck j_bip_c_head j_sec_*hair*",
        },
        {
            "torso": "j_bip_{s}_shoulder",
            "head": "j_adj_{s}_faceeye",
            "uarm": "j_bip_{s}_upperarm",
            "farm": "j_bip_{s}_lowerarm",
            "hand": "j_bip_{s}_hand j_bip_{s}_thumb? j_bip_{s}_index? j_bip_{s}_middle? j_bip_{s}_ring? "
            "j_bip_{s}_little?",
            "thigh": "j_bip_{s}_upperleg",
            "calf": "j_bip_{s}_lowerleg",
            "foot": "j_bip_{s}_foot j_bip_{s}_toebase",
        },
    ),
    Family(
        "VRM humanoid",
        {"torso": "hips spine chest upperchest", "head": "neck head jaw lefteye righteye"},
        {
            "torso": "{side}shoulder",
            "uarm": "{side}upperarm",
            "farm": "{side}lowerarm",
            "hand": "{side}hand {side}thumb* {side}index* {side}middle* {side}ring* {side}little*",
            "thigh": "{side}upperleg",
            "calf": "{side}lowerleg",
            "foot": "{side}foot {side}toes",
        },
    ),
    Family(
        "CMU",
        {"torso": "hips lowerback spine spine1", "head": "neck neck1 head"},
        {
            "torso": "{s}hipjoint {side}shoulder",
            "uarm": "{side}arm",
            "farm": "{side}forearm",
            "hand": "{side}hand {s}thumb {side}fingerbase {side}handfinger1 {side}handindex1",
            "thigh": "{side}upleg",
            "calf": "{side}leg",
            "foot": "{side}foot {side}toebase",
        },
    ),
)

# Any other rig: the words of a name (camel case and separators split, lower case, joined by blanks); the first row
# wins.
GENERIC_LIMBS: tuple[tuple[str, str], ...] = (
    ("hand", r"\b(thumb|index|middle|mid|ring|pinky|pinkie|little|fingers?|carpal|metacarpals?|palm|hand|wrist)\b"),
    ("farm", r"\b(fore ?arm|lower ?arm|low ?arm|elbow|ulna|radius)\b"),
    ("uarm", r"\b(upper ?arm|up ?arm|biceps?|shldr|arm)\b"),
    ("foot", r"\b(toes?|toe ?base|foot|ankle|ball|heel|metatarsals?)\b"),
    ("thigh", r"\b(thigh|upper ?leg|up ?leg|femur)\b"),
    ("calf", r"\b(calf|shin|lower ?leg|low ?leg|knee|tibia|leg)\b"),
)
GENERIC_CENTRE: tuple[tuple[str, str], ...] = (
    (
        "head",
        r"\b(head|neck|face|skull|jaw|eyes?|eyelid|eyebrow|tongue|lips?|brow|nose|cheek|chin|ears?|teeth|lid|hair|mouth"
        r"|forehead|temple|ponytail)\b",
    ),
    (
        "torso",
        r"\b(shoulder|clavicle|collar|scapula|breast|bust|boob|pectoral|pecs?|pelvis|hips?|butt|buttocks?|glutes?|spine"
        r"|chest|root|abdomen|belly|waist|torso|ribs?|ribcage|back)\b",
    ),
)
