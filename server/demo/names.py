"""Chinese nicknames as people choose them: names, pet forms and little phrases."""

from random import Random

from domain.fans.models import Gender

_SURNAMES = tuple(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
)
_GIVEN = {
    Gender.FEMALE: (
        *(
            "婷婷",
            "雨欣",
            "思琪",
            "梦瑶",
            "佳怡",
            "晓雯",
            "静怡",
            "子涵",
            "若曦",
            "诗涵",
            "雪梅",
            "玉兰",
            "慧敏",
            "美玲",
        ),
        *(
            "欣妍",
            "可馨",
            "语桐",
            "一诺",
            "芷若",
            "海燕",
            "丽娟",
            "紫萱",
            "书瑶",
            "清影",
            "月华",
            "舒雅",
            "婉清",
            "念慈",
        ),
    ),
    Gender.MALE: (
        *(
            "浩然",
            "子轩",
            "宇航",
            "建国",
            "志强",
            "俊杰",
            "天翔",
            "文博",
            "一鸣",
            "嘉伟",
            "明轩",
            "海涛",
            "国栋",
            "立军",
        ),
        *("泽宇", "思远", "锦程", "晨曦", "伟峰", "鹏飞", "家豪", "博文", "凯", "磊", "毅", "震", "子墨", "承宇"),
    ),
}
_MOODS = (
    "爱喝咖啡的",
    "追风的",
    "早睡早起的",
    "奔跑吧",
    "安静的",
    "快乐的",
    "迷路的",
    "不加糖的",
    "周末的",
    "会拍照的",
)
_THINGS = (
    "小鹿",
    "柠檬",
    "橘猫",
    "云朵",
    "小熊",
    "薄荷",
    "拾光者",
    "海盐",
    "松果",
    "旅人",
    "胶卷",
    "星星",
    "栗子",
    "豆包",
)
_TAILS = ("", "", "", "~", "88", "521", "_", "本人", "呀", "er")


def nickname(random: Random, gender: Gender) -> str:
    """Return a nickname a person of the gender might choose."""
    kind = random.random()
    given = random.choice(_GIVEN[Gender.MALE if gender is Gender.MALE else Gender.FEMALE])
    if kind < 0.35:
        return random.choice(_SURNAMES) + given
    if kind < 0.6:
        return random.choice(("小", "阿", "老")) + random.choice(_SURNAMES) + random.choice(_TAILS)
    if kind < 0.8:
        return given[-1] * 2 + random.choice(_TAILS)
    return random.choice(_MOODS) + random.choice(_THINGS)
