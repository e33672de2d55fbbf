"""What the demo chain sells and where: pure, the same in every run, shared by the ERP template and the tills."""

import hashlib
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

#: Part of the template's identity: raise it when the meaning of the data changes without its code changing.
EDITION = 1
CURRENCY_CODE = "CNY"
WALK_IN_CUSTOMER = "散客"
#: The code by which integrations find the walk-in customer.
WALK_IN_CODE = "WALK-IN"
#: Where the ERP books what the shops sold.
SOLD_LOCATION = "LOC-SOLD"
CENT = Decimal("0.01")
#: Weighed goods are sold by the gram.
GRAM = Decimal("0.001")


@dataclass(frozen=True, kw_only=True)
class Shop:
    id: str
    name: str
    #: First characters of every order reference of this shop.
    prefix: str
    #: Code of the shop's stock location in the ERP.
    location: str
    tills: int


@dataclass(frozen=True, kw_only=True)
class Product:
    #: Six digits, most with leading zeros: a SKU is text, never a number.
    sku: str
    barcode: str
    name: str
    unit: str
    list_price: Decimal
    cost_price: Decimal

    @property
    def weighed(self) -> bool:
        return self.unit == "kg"


SHOPS = (
    Shop(id="chaoyang", name="朝阳店", prefix="CY-", location="LOC-CHAOYANG", tills=3),
    Shop(id="haidian", name="海淀店", prefix="HD-", location="LOC-HAIDIAN", tills=2),
)

_PACKED = {
    "可乐": ("330ml 罐装", "500ml 瓶装", "1.25L 瓶装", "2L 家庭装", "330ml×6 连包", "无糖 330ml", "无糖 500ml"),
    "矿泉水": ("350ml", "550ml", "1.5L", "4L", "550ml×12 整箱", "苏打气泡 330ml"),
    "纯牛奶": ("200ml", "250ml", "1L", "250ml×12 礼盒", "脱脂 250ml", "高钙 1L"),
    "酸奶": ("原味 100g", "草莓味 100g", "黄桃味 200g", "无蔗糖 180g", "原味 1kg 桶装"),
    "方便面": ("红烧牛肉面", "老坛酸菜面", "香辣牛肉面", "番茄鸡蛋面", "红烧牛肉面 5 连包", "海鲜面"),
    "薯片": ("原味 75g", "黄瓜味 75g", "烧烤味 75g", "番茄味 104g", "分享装 135g"),
    "饼干": ("苏打 100g", "夹心巧克力 97g", "消化饼 400g", "威化草莓 50g", "曲奇礼盒 454g"),
    "大米": ("东北珍珠米 5kg", "五常稻花香 5kg", "长粒香 10kg", "泰国香米 5kg", "小米 1kg"),
    "食用油": ("花生油 5L", "玉米油 4L", "菜籽油 5L", "橄榄油 500ml", "葵花籽油 2.5L"),
    "酱油": ("生抽 500ml", "老抽 500ml", "蒸鱼豉油 410ml", "薄盐生抽 500ml", "生抽 1.9L"),
    "面粉": ("中筋 1kg", "中筋 5kg", "高筋 1kg", "低筋 500g", "全麦 1kg"),
    "挂面": ("鸡蛋面 1kg", "龙须面 500g", "荞麦面 400g", "手擀面 750g"),
    "茶饮": ("绿茶 500ml", "冰红茶 500ml", "茉莉花茶 500ml", "乌龙茶 500ml", "柠檬茶 250ml×6"),
    "啤酒": ("330ml 罐装", "500ml 罐装", "500ml×12 整箱", "原浆 1L", "无醇 330ml"),
    "白酒": ("42 度 500ml", "52 度 500ml", "38 度 250ml", "礼盒 500ml×2"),
    "洗发水": ("去屑 400ml", "柔顺 400ml", "控油 750ml", "旅行装 80ml", "滋养 1L"),
    "牙膏": ("薄荷 120g", "美白 140g", "儿童草莓 60g", "中草药 180g"),
    "纸巾": ("抽纸 3 层 100 抽", "卷纸 10 卷", "手帕纸 18 包", "湿巾 80 片", "厨房纸 2 卷"),
    "洗衣液": ("薰衣草 2kg", "薰衣草 3kg", "除菌 1kg", "袋装 500g"),
    "鸡蛋": ("鲜鸡蛋 10 枚", "鲜鸡蛋 30 枚", "土鸡蛋 15 枚", "咸鸭蛋 6 枚"),
    "巧克力": ("牛奶 43g", "黑巧 70% 100g", "榛仁 80g", "礼盒 200g"),
    "坚果": ("每日坚果 25g", "每日坚果 750g", "开心果 200g", "腰果 250g", "葵花籽 260g"),
    "冷冻": ("猪肉白菜水饺 1kg", "三鲜水饺 500g", "黑芝麻汤圆 500g", "手抓饼 900g", "鸡块 1kg"),
    "调味": ("精盐 400g", "白砂糖 454g", "陈醋 500ml", "料酒 500ml", "豆瓣酱 500g", "蚝油 700g", "芝麻油 220ml"),
}
_WEIGHED = (
    "红富士苹果", "香蕉", "砂糖橘", "赣南脐橙", "巨峰葡萄", "西瓜", "雪梨", "火龙果", "大白菜", "土豆", "番茄", "黄瓜",
    "胡萝卜", "西兰花", "青椒", "菠菜", "洋葱", "生姜", "大蒜", "五花肉", "里脊肉", "排骨", "牛腩", "鸡胸肉", "鸡翅中",
    "草鱼", "基围虾", "带鱼", "豆腐干", "散装水饺", "散装糖果", "散装瓜子",
)  # fmt: skip
_BRANDS = ("晨光", "恒源")


def _number(*parts: str, below: int) -> int:
    """A stable number in [0, below) for `parts`."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=6).digest()) % below


def _product(position: int, name: str, unit: str) -> Product:
    # Steps of 7 leave gaps, as a real catalogue has; the largest few have no leading zero.
    sku = f"{1234 + position * 7 if position < 250 else 100000 + position * 7:06d}"
    list_price = (Decimal(150 + _number(name, "price", below=9850)) / 100).quantize(CENT)
    margin_percent = Decimal(12 + _number(name, "margin", below=28))
    cost_price = (list_price * (100 - margin_percent) / 100).quantize(Decimal("0.0001"))
    return Product(
        sku=sku,
        barcode=f"69{_number(name, 'barcode', below=10**9):09d}{position % 100:02d}",
        name=name,
        unit=unit,
        list_price=list_price,
        cost_price=cost_price,
    )


def products() -> tuple[Product, ...]:
    """Every product, ordered by SKU."""
    packed = [
        (f"{brand}{family} {variant}", "u")
        for family, variants in _PACKED.items()
        for variant in variants
        for brand in _BRANDS
    ]
    weighed = [(f"{name}（散称）", "kg") for name in _WEIGHED]
    return tuple(_product(position, name, unit) for position, (name, unit) in enumerate(weighed + packed))


def opening_stock(shop: Shop, product: Product) -> Decimal:
    """What the shop has on its shelf at the start; weighed goods to the gram, some products sold out."""
    if product.weighed:
        return Decimal(_number(shop.id, product.sku, "grams", below=60_000)) * GRAM
    return Decimal(_number(shop.id, product.sku, "pieces", below=240))


def amount(quantity: Decimal, unit_price: Decimal) -> Decimal:
    """Money of one line. Half to even because the ERP's currency rounds so; another rule would drift by a cent."""
    return (quantity * unit_price).quantize(CENT, rounding=ROUND_HALF_EVEN)
