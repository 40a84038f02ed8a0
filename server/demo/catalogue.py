"""What the demo group is: its brands, places, products and tags. All names are invented but those of cities."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from domain.tags.models import TagKind
from domain.tenancy.models import ChannelKind

# A fixed day, so that two machines hold the same data whenever they load it.
MOMENT = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)

GROUP_CODE, GROUP_NAME = "xinghe", "星河消费集团"


class City(NamedTuple):
    """A city and the districts that stores stand in."""

    province: str
    name: str
    districts: tuple[str, ...]


class AccountSpec(NamedTuple):
    """An account of a brand in a channel."""

    kind: ChannelKind
    app_id: str
    name: str


class Product(NamedTuple):
    """What a brand sells; the price in yuan."""

    code: str
    title: str
    price: Decimal


class TagSpec(NamedTuple):
    """A tag of a brand, or of the group."""

    name: str
    kind: TagKind
    category: str
    color: str


@dataclass(frozen=True)
class BrandSpec:
    """A brand with its share of all fans and orders, in percent."""

    code: str
    name: str
    share: int
    dealers: tuple[tuple[str, City], ...]
    accounts: tuple[AccountSpec, ...]
    products: tuple[Product, ...]
    tags: tuple[TagSpec, ...]


def _products(*rows: tuple[str, str, str]) -> tuple[Product, ...]:
    return tuple(Product(code, title, Decimal(price)) for code, title, price in rows)


def _tags(kind: TagKind, category: str, color: str, *names: str) -> tuple[TagSpec, ...]:
    return tuple(TagSpec(name, kind, category, color) for name in names)


GROUP_TAGS = (
    *_tags(TagKind.FACT, "购买行为", "#2F80ED", "首次购买", "多次购买", "潜在购买", "匿名了解", "线下新人"),
    *_tags(TagKind.FACT, "互动行为", "#27AE60", "抽奖爱好者", "口碑传播"),
    *_tags(TagKind.MODEL, "价值模型", "#9B51E0", "高价值粉丝", "流失预警"),
    *_tags(TagKind.STRATEGY, "营销策略", "#F2994A", "大促触达"),
)

_YUELU = BrandSpec(
    code="yuelu",
    name="跃鹿运动",
    share=45,
    dealers=(
        ("杭州云杉体育用品", City("浙江省", "杭州市", ("西湖区", "拱墅区", "滨江区"))),
        ("成都锦里运动商贸", City("四川省", "成都市", ("锦江区", "武侯区", "高新区"))),
        ("武汉江城体育", City("湖北省", "武汉市", ("江汉区", "武昌区"))),
        ("西安秦岭户外运动", City("陕西省", "西安市", ("雁塔区", "碑林区"))),
    ),
    accounts=(
        AccountSpec(ChannelKind.WECHAT_SERVICE, "demo-yuelu-service", "跃鹿运动服务号"),
        AccountSpec(ChannelKind.MINI_PROGRAM, "demo-yuelu-mall", "跃鹿会员商城小程序"),
    ),
    products=_products(
        ("YL-R01", "逐风 3 缓震跑鞋", "499.00"),
        ("YL-R02", "云步轻量慢跑鞋", "359.00"),
        ("YL-B01", "破晓实战篮球鞋", "699.00"),
        ("YL-C01", "街角复古板鞋", "329.00"),
        ("YL-H01", "山径防水徒步鞋", "799.00"),
        ("YL-L01", "鹿鸣联名限定款", "1299.00"),
        ("YL-S01", "速干运动袜三双装", "59.00"),
        ("YL-T01", "透气训练短袖", "129.00"),
    ),
    tags=(
        *_tags(TagKind.FACT, "运动偏好", "#EB5757", "跑步爱好者", "篮球鞋控", "周末徒步"),
        *_tags(TagKind.MODEL, "潮流洞察", "#9B51E0", "限量款收藏", "联名款关注"),
        *_tags(TagKind.STRATEGY, "营销策略", "#F2994A", "学生专享", "换季上新"),
    ),
)
_CHENGYING = BrandSpec(
    code="chengying",
    name="澄影相机",
    share=20,
    dealers=(
        ("上海浦光影像器材", City("上海市", "上海市", ("徐汇区", "静安区", "浦东新区"))),
        ("广州岭南摄影器材", City("广东省", "广州市", ("天河区", "越秀区"))),
        ("南京金陵光学", City("江苏省", "南京市", ("玄武区", "鼓楼区"))),
        ("青岛海岸影像", City("山东省", "青岛市", ("市南区", "崂山区", "黄岛区"))),
    ),
    accounts=(AccountSpec(ChannelKind.WECHAT_SERVICE, "demo-chengying-service", "澄影相机服务号"),),
    products=_products(
        ("CY-A1", "澄影 A1 全画幅微单机身", "12999.00"),
        ("CY-M5", "澄影 M5 入门微单套机", "4999.00"),
        ("CY-V2", "澄影 V2 口袋云台相机", "2699.00"),
        ("CY-L35", "35mm F1.8 人像定焦镜头", "2199.00"),
        ("CY-L70", "70-200mm F4 长焦镜头", "6499.00"),
        ("CY-B01", "原厂锂电池", "399.00"),
        ("CY-G01", "帆布相机肩带", "169.00"),
    ),
    tags=(
        *_tags(TagKind.FACT, "拍摄题材", "#56CCF2", "人像摄影", "风光摄影", "旅拍达人"),
        *_tags(TagKind.MODEL, "创作洞察", "#9B51E0", "视频创作者", "镜头发烧友"),
        *_tags(TagKind.STRATEGY, "营销策略", "#F2994A", "以旧换新", "新手课堂"),
    ),
)
_LANDOU = BrandSpec(
    code="landou",
    name="岚豆咖啡",
    share=35,
    dealers=(
        ("北京岚豆餐饮", City("北京市", "北京市", ("朝阳区", "海淀区", "东城区"))),
        ("深圳前海岚豆餐饮", City("广东省", "深圳市", ("南山区", "福田区", "罗湖区"))),
        ("长沙湘江岚豆餐饮", City("湖南省", "长沙市", ("岳麓区", "天心区"))),
        ("厦门鹭岛岚豆餐饮", City("福建省", "厦门市", ("思明区", "湖里区"))),
    ),
    accounts=(
        AccountSpec(ChannelKind.MINI_PROGRAM, "demo-landou-order", "岚豆点单小程序"),
        AccountSpec(ChannelKind.WECOM, "demo-landou-wecom", "岚豆企业微信"),
    ),
    products=_products(
        ("LD-01", "生椰拿铁", "19.00"),
        ("LD-02", "桂花乌龙拿铁", "22.00"),
        ("LD-03", "冰美式", "15.00"),
        ("LD-04", "耶加雪菲手冲", "32.00"),
        ("LD-05", "抹茶燕麦奶", "23.00"),
        ("LD-06", "海盐芝士贝果", "16.00"),
        ("LD-07", "挂耳咖啡十片装", "69.00"),
        ("LD-08", "岚山随行杯", "129.00"),
    ),
    tags=(
        *_tags(TagKind.FACT, "口味偏好", "#6F4E37", "拿铁党", "手冲爱好者", "无糖偏好"),
        *_tags(TagKind.FACT, "消费时段", "#F2C94C", "早八咖啡", "下午茶"),
        *_tags(TagKind.STRATEGY, "营销策略", "#F2994A", "拼单优惠", "会员日"),
    ),
)
BRANDS = (_YUELU, _CHENGYING, _LANDOU)

# where fans live who are not near a dealer
ELSEWHERE = (
    ("重庆市", "重庆市"),
    ("天津市", "天津市"),
    ("河南省", "郑州市"),
    ("江苏省", "苏州市"),
    ("浙江省", "宁波市"),
    ("安徽省", "合肥市"),
    ("辽宁省", "沈阳市"),
    ("云南省", "昆明市"),
    ("广西壮族自治区", "南宁市"),
    ("黑龙江省", "哈尔滨市"),
    ("江西省", "南昌市"),
    ("福建省", "福州市"),
)
